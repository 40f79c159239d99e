import { readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDemo, secretsOf } from '../demo-data.ts';
import { startServer } from '../server-process.ts';
import { openShell } from '../shell.ts';

/** What a newcomer does in the first minutes, with the commands exactly as they stand in the welcome and the README. */
const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const FREE_PORTS = ['--http-port', '0', '--grpc-port', '0'];

/** A script is faster than a person: it starts once the mapper has read its mappings and settled the first envelope. */
const untilMapping = (demo: { http: string }) =>
  expect
    .poll(async () => await (await fetch(`${demo.http}/metrics`)).text(), { timeout: 30_000 })
    .toMatch(/^gladhand_mapping_envelopes_total\S* [1-9]/m);

test('the first start shows a welcome whose lines work, and Ctrl-C ends it with 0', async () => {
  const server = startServer(FREE_PORTS);
  const said = await server.waitFor(/Ctrl-C/);
  await untilMapping(await readDemo(server));
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
    .filter((line) => /^(export |TOKEN=|printf )/.test(line));
  expect(lines).toHaveLength(7);
  const shell = openShell();
  const { stdout } = await shell.run(
    lines.map((line) => line.replace('curl -H @- ', 'curl -sS --fail-with-body -w "\\n" -H @- ')).join('\n'),
    server.directory,
  );
  const [accepted, records, fleets] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(accepted.status).toBe('queued');
  expect(records.data.length).toBeGreaterThan(0);
  expect(fleets.data).toHaveLength(2);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  for (const secret of secretsOf(demo)) {
    expect(server.logged()).not.toContain(secret);
    expect(server.said()).not.toContain(secret);
    expect(shell.seenArguments()).not.toContain(secret);
  }
});

test('the README’s commands do what it says: whoever follows it reads back what they sent', async () => {
  const server = startServer(FREE_PORTS);
  const demo = await readDemo(server);
  await untilMapping(demo);
  // The README is read in the project's folder; the data folder of this server is elsewhere.
  for (const name of ['node_modules', 'packages', 'examples'])
    symlinkSync(join(ROOT, name), join(server.directory, name));
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)]
    .map((match) => match[1]!)
    .filter((block) => !block.includes('npm ci'));
  // People need longer than mapping does to go on to the next block.
  // The word alone stands in every receipt: `processedAt`.
  const mapped = `until call "$BASE/telemetry/receipts/$RECEIPT" | grep -q '"status":"processed"'; do :; done`;
  const script = blocks
    .flatMap((block) => (block.includes('/receipts/') ? [block, mapped] : [block]))
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', demo.http)
    .replaceAll('curl -s ', 'curl -sS --fail-with-body ')
    .replace('livefeed.mjs', `livefeed.mjs --at ${demo.grpc} --rest ${demo.http} 2>/dev/null | head -n 1`);
  const shell = openShell();
  const { stdout } = await shell.run(script, server.directory);
  const [receipt, own, latest, fleets, live] = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  expect(['queued', 'processed']).toContain(receipt.status);
  expect(own.data).toMatchObject([{ receiptId: receipt.receiptId, signals: { gps: { speedKph: 42 } } }]);
  expect(readme).toContain('"speedKph":42');
  expect(latest.data).toMatchObject([{ assetId: own.data[0].assetId }]);
  expect(Object.keys(latest.data[0].metrics).length).toBeGreaterThan(5);
  expect(fleets.data).toHaveLength(2);
  expect(live).toHaveProperty('signals');
  expect(shell.seenArguments()).toContain('curl -sS --fail-with-body -H @-');
  for (const secret of secretsOf(demo)) expect(shell.seenArguments()).not.toContain(secret);
});

test('--no-demo and NODE_ENV=production make no demo', async () => {
  for (const [args, env] of [
    [['--no-demo'], {}],
    [[], { NODE_ENV: 'production' }],
  ] as const) {
    const server = startServer([...FREE_PORTS, ...args], { env });
    await server.waitFor(/is ready/);
    expect(() => statSync(join(server.directory, '.gladhand', 'demo.json'))).toThrow('ENOENT');
    expect(server.said()).not.toContain('demo.json');
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
  expect(second.said()).toContain('in use by another Gladhand server (process ');
  expect(second.said()).not.toMatch(/\bat .*\(|node_modules/);
});
