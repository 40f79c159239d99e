import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { readDemo } from '../demo-data.ts';
import { startServer } from '../server-process.ts';

/** What a newcomer does in the first minutes, with the commands exactly as they stand in the welcome and the README. */
const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const FREE_PORTS = ['--http-port', '0', '--grpc-port', '0'];

test('the first start shows a welcome whose lines work, and Ctrl-C ends it with 0', async () => {
  const server = startServer(FREE_PORTS);
  const said = await server.waitFor(/Ctrl-C/);
  const demo = JSON.parse(readFileSync(join(server.directory, '.gladhand', 'demo.json'), 'utf8'));
  expect(statSync(join(server.directory, '.gladhand', 'demo.json')).mode & 0o777).toBe(0o600);
  expect(Object.keys(demo)).toEqual(['operator', 'partners', 'customer', 'http', 'grpc']);
  expect(demo.customer.fleets).toHaveLength(2);
  expect(demo.customer.trailers).toHaveLength(24);
  expect(demo.partners.map((partner: { product: string }) => partner.product)).toEqual(
    expect.arrayContaining(['traccar', 'deliversafe']),
  );
  const lines = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(TOKEN=|curl )/.test(line));
  expect(lines).toHaveLength(5);
  const { stdout } = await run('bash', [
    '-ec',
    lines.map((line) => line.replace(/^curl /, 'curl -sS --fail-with-body -w "\\n" ')).join('\n'),
  ]);
  const [fleets, gps, accepted] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(fleets.data).toHaveLength(2);
  expect(gps).toHaveProperty('data');
  expect(accepted.status).toBe('queued');
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  const secrets = [
    demo.operator.password,
    demo.customer.key,
    ...demo.partners.map((partner: { key: string }) => partner.key),
  ];
  for (const secret of secrets) expect(server.logged()).not.toContain(secret);
});

test('the README’s commands do what it says', async () => {
  const server = startServer(FREE_PORTS);
  const demo = await readDemo(server);
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
  const script = blocks
    .filter((block) => !/npm ci|examples\//.test(block))
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', demo.http)
    .replaceAll('curl -s ', 'curl -sS --fail-with-body -w "\\n" ');
  const { stdout } = await run('bash', ['-ec', script], { cwd: server.directory });
  const [receipt, fleets, gps, latest] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(['queued', 'processed']).toContain(receipt.status);
  expect(fleets.data).toHaveLength(2);
  expect(gps.data.length).toBeGreaterThan(0);
  expect(Object.keys(latest.data[0].metrics).length).toBeGreaterThan(5);

  const live = blocks.find((block) => block.includes('examples/'))!;
  const key = demo.customer.key;
  const token = JSON.parse(
    (await run('curl', ['-s', '-X', 'POST', '-H', `X-API-KEY: ${key}`, `${demo.http}/api/v1/customers/authenticate`]))
      .stdout,
  ).accessToken;
  const command = `${live.trim().replace('node_modules/.bin/node', process.execPath).replace('$TOKEN', token)} --at ${demo.grpc} 2>/dev/null | head -n 1`;
  const first = JSON.parse((await run('bash', ['-c', command], { cwd: ROOT })).stdout);
  expect(first).toHaveProperty('signals');
});

test('--no-demo and NODE_ENV=production make no demo', async () => {
  for (const [args, env] of [
    [['--no-demo'], {}],
    [[], { NODE_ENV: 'production' }],
  ] as const) {
    const server = startServer([...FREE_PORTS, ...args], { env });
    await server.waitFor(/is ready/);
    expect(() => statSync(join(server.directory, '.gladhand', 'demo.json'))).toThrow('ENOENT');
    expect(server.said()).not.toContain('gladhand_');
    await server.stop('SIGTERM');
  }
});

test('a second server on the same folder is refused with a sentence that says what to do', async () => {
  const first = startServer([...FREE_PORTS, '--no-demo']);
  await first.waitFor(/is ready/);
  const second = startServer([...FREE_PORTS, '--no-demo'], { directory: first.directory });
  const [code] = await new Promise<[number | null]>((resolve) =>
    second.child.once('exit', (status) => resolve([status])),
  );
  expect(code).toBe(1);
  expect(second.said()).toMatch(/already|another/i);
  expect(second.said()).not.toMatch(/\bat .*\(|node_modules/);
});
