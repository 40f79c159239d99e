import { execFile } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { readDemo } from '../demo-data.ts';
import { startServer } from '../server-process.ts';

/** The guides' commands, exactly as they stand there, against a demo server. What must not run is fenced as `text`. */
const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const GUIDES = ['partner-guide', 'customer-guide', 'products', 'operating'] as const;

const readGuide = (guide: string) => readFileSync(join(ROOT, 'docs', `${guide}.md`), 'utf8');

/** The `sh` blocks of a guide, each without the indentation of a list it stands in. */
function blocksOf(guide: string): string[] {
  return [...readGuide(guide).matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm)].map(([, indent, block]) =>
    block!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

test('every command of the guides runs, in order, and answers what it says', async () => {
  const server = startServer(['--http-port', '0', '--grpc-port', '0']);
  const demo = await readDemo(server);
  // The guides are read in the project's folder; the data folder of this server is elsewhere.
  for (const name of ['node_modules', 'packages', 'examples', 'scripts', 'package.json'])
    symlinkSync(join(ROOT, name), join(server.directory, name));
  const marked = GUIDES.flatMap((guide) =>
    blocksOf(guide).map((block, at) => `echo; echo '## ${guide} ${at}'\n${block}`),
  );
  expect(marked.length).toBeGreaterThan(15);
  const script = ['exec 2>&1', ...marked]
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', demo.http)
    .replaceAll('127.0.0.1:8081', demo.grpc);
  const { stdout } = await run('bash', ['-e', '-c', script], {
    cwd: server.directory,
    maxBuffer: 64 * 1024 * 1024,
    // A stream that stays silent would otherwise be waited for without a word.
    timeout: 120_000,
  }).catch((error: { stdout: string }) => {
    throw new Error(`a command failed; what was printed before:\n${error.stdout.slice(-6_000)}`);
  });
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
  expect(said['customer-guide 4']!.trim()).toMatch(/^\d+,\d+,\d+$/);
  expect(customer(5)[0].data[0].metrics).toHaveProperty(['gps.latitude']);
  expect(customer(6)[0].data[0].signals.tires.length).toBeGreaterThan(0);
  expect(customer(7)).toHaveLength(3);
  for (const asset of customer(8)) expect(asset.metrics).toHaveProperty(['gps.latitude']);
  expect(customer(9)[0]).toHaveProperty('position');
  expect(said['products 2']).toContain('acme-gate: version 1');
  const tried = JSON.parse(said['products 2']!.slice(said['products 2']!.indexOf('{')));
  expect([tried.records.length, tried.rejects.length, tried.skipped]).toEqual([1, 1, 1]);
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
  expect(stdout).not.toMatch(/^\s+at .*\.ts:\d+/m);
}, 180_000);
