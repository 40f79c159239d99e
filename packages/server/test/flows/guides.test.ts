import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDemo, secretsOf } from '../demo-data.ts';
import { type ServerProcess, startServer } from '../server-process.ts';
import { openShell } from '../shell.ts';

/**
 * The guides' commands, exactly as they stand there, in a stranger's shell against real servers. What must not run is
 * fenced as `text`. None of them may show a secret to whoever lists the processes of the machine.
 */
const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const GUIDES = ['partner-guide', 'customer-guide', 'products', 'operating', 'limits'] as const;

const readGuide = (guide: string) => readFileSync(join(ROOT, 'docs', `${guide}.md`), 'utf8');

/** The guides are read in the project's folder; the data folder of `server` is elsewhere. */
function linkProject({ directory }: ServerProcess): void {
  for (const name of ['node_modules', 'packages', 'examples', 'scripts', 'package.json'])
    symlinkSync(join(ROOT, name), join(directory, name));
}

/** The `sh` blocks of a guide, each without the indentation of a list it stands in. */
function blocksOf(guide: string): string[] {
  return [...readGuide(guide).matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm)].map(([, indent, block]) =>
    block!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

test('every command of the guides runs, in order, and answers what it says', async () => {
  const server = startServer(['--http-port', '0', '--grpc-port', '0']);
  const demo = await readDemo(server);
  linkProject(server);
  const marked = GUIDES.flatMap((guide) =>
    blocksOf(guide).map((block, at) => `echo; echo '## ${guide} ${at}'\n${block}`),
  );
  expect(marked.length).toBeGreaterThan(15);
  const script = ['exec 2>&1', ...marked]
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', demo.http)
    .replaceAll('livefeed.mjs', `livefeed.mjs --at ${demo.grpc} --rest ${demo.http}`)
    .replaceAll('back-off.mjs', `back-off.mjs --at ${demo.http}`);
  const shell = openShell();
  const { stdout } = await shell.run(script, server.directory);
  const said = Object.fromEntries(
    stdout.split('\n## ').map((part) => part.split(/\n([\s\S]*)/, 2) as [string, string]),
  );

  const partner = (at: number) => JSON.parse(said[`partner-guide ${at}`]!);
  expect(partner(2)).toMatchObject({ status: 'queued' });
  expect(partner(3)).toMatchObject({ status: 400, code: 'invalid-vin', retryable: false });
  expect(['queued', 'processed']).toContain(partner(4).status);
  expect(partner(5)).toMatchObject({ name: 'deliversafe', example: { payload: { unit: {} } } });

  const customer = (at: number) =>
    said[`customer-guide ${at}`]!.trim()
      .split('\n')
      .filter((line) => line.startsWith('{"'))
      .map((line) => JSON.parse(line));
  const [fleets, trailers, trailer, devices, units] = customer(1);
  expect([fleets.data.length, trailers.data.length, devices.data.length, units.data.length]).toEqual([2, 2, 1, 2]);
  expect(trailer.vin).toBe(trailers.data[0].vin);
  expect(customer(2)[0].data).toHaveLength(5);
  for (const page of customer(3)) expect(page.data.length).toBeGreaterThan(0);
  expect(said['customer-guide 4']!.trim()).toMatch(/^\d+,\d+,\d+\ntrue$/);
  expect(customer(5)[0].data[0].metrics).toHaveProperty(['gps.latitude']);
  expect(customer(6)[0].data[0].signals.tires.length).toBeGreaterThan(0);
  expect(customer(7)).toHaveLength(3);
  for (const asset of customer(8)) expect(asset.metrics).toHaveProperty(['gps.latitude']);
  expect(customer(9)[0]).toHaveProperty('position');
  expect(said['products 2']).toContain('acme-gate: version 1');
  const tried = JSON.parse(said['products 2']!.slice(said['products 2']!.indexOf('{')));
  expect([tried.records.length, tried.rejects.length, tried.skipped]).toEqual([1, 2, 1]);
  expect(tried.records[0]).toMatchObject(
    JSON.parse(/```json\n([\s\S]*?)```/.exec(readGuide('products'))![1]!, (key, value) =>
      key === 'observedAt' ? tried.records[0].observedAt : value,
    ),
  );
  // What goes wrong is shown in the guide as it is said.
  expect(said['products 3']!.trim()).toBe(/```text\n([\s\S]*?)```/.exec(readGuide('products'))![1]!.trim());
  expect(said['products 4']).toContain('acme-gate: version 1');
  expect(said['operating 1']).toContain('"status":"ready"');
  expect(Number(said['operating 2'])).toBeGreaterThan(50);
  const metrics = await (await fetch(`${demo.http}/metrics`)).text();
  for (const [, name] of readGuide('operating').matchAll(/`(gladhand_[a-z_]+)`/g))
    expect(metrics).toContain(`# HELP ${name} `);
  expect(said['limits 0']!.match(/^accepted [0-9a-f-]{36}$/gm)).toHaveLength(3);
  expect(stdout).not.toMatch(/^\s+at .*\.ts:\d+/m);
  expect(shell.seenArguments()).toContain('curl -s -H @-');
  for (const secret of secretsOf(demo)) expect(shell.seenArguments()).not.toContain(secret);
}, 180_000);

test('the guide to administration leads from an empty installation to a customer with a trailer', async () => {
  const server = startServer(['--no-demo', '--http-port', '0', '--grpc-port', '0']);
  const [, base] = /REST (\S+)/.exec(await server.waitFor(/is ready[\s\S]*\n\n/))!;
  linkProject(server);
  const shell = openShell();
  const [create, ...rest] = blocksOf('administration');
  const made = await shell.run(create!, server.directory);
  const [, password] = /shown once\): (\S+)/.exec(made.stdout)!;
  expect(create).toContain('# admin@example.com is an admin of operator.\n# Password (shown once): ');
  const script = rest
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', base!)
    .replaceAll('P5A08HXqMuCxv9lGTDWRKy7P', password!);
  const { stdout } = await shell.run(script, server.directory);
  const lines = stdout.split('\n').filter((line) => line !== '');
  const [me, organization, user, fleet, trailer, audit] = lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  expect(me).toMatchObject({ email: 'admin@example.com', isPlatformOperator: true });
  expect([organization.slug, user.email, fleet.name, trailer.vin]).toEqual([
    'northwind-haulage',
    'dispatch@example.com',
    'East',
    '1UYVS2533P7204518',
  ]);
  expect(audit.data).toHaveLength(2);
  expect(lines.filter((line) => / events, head [0-9a-f]{64}: ok$/.test(line))).toHaveLength(2);
  for (const secret of [password!, 'a long first password', 'gladhand_session_'])
    expect(shell.seenArguments()).not.toContain(secret);
});
