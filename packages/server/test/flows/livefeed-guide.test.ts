import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { openTestApp } from '../app.ts';
import { ROOT } from '../architecture/source-tree.ts';
import { grpcurl, python } from '../installed-clients.ts';

/** The commands of docs/livefeed.md, exactly as they stand there; by heading, because each needs another program. */
const run = promisify(execFile);
const GUIDE = readFileSync(join(ROOT, 'docs/livefeed.md'), 'utf8');
const VIN = '1UYVS2533P7204518';

function commandsOf(heading: string): string {
  const section = GUIDE.split(/^## /m).find((part) => part.startsWith(`${heading}\n`))!;
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block).join('\n');
}

/** What the commands of a section print, after those that every section needs, while a trailer drives. */
async function follow(heading: string): Promise<{ folder: string; said: string }> {
  const { app, base, call, token, settled, issueKey, registry, operatorId, customerId } = await openTestApp();
  await registry.createTrailer(customerId, { vin: VIN, name: 'Trailer' });
  const partner = await token(operatorId, 'partner', ['telemetry:write', 'product:deliversafe']);
  const key = await issueKey(customerId, 'customer', ['livefeed:connect', 'telemetry:read']);
  const folder = mkdtempSync(join(tmpdir(), 'gladhand-livefeed-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, '.gladhand'));
  writeFileSync(join(folder, '.gladhand/demo.json'), JSON.stringify({ customer: { key } }));
  for (const name of ['node_modules', 'packages', 'examples']) symlinkSync(join(ROOT, name), join(folder, name));

  let sent = 0;
  async function report() {
    const position = { latitude: 39.5, longitude: -86 + (sent += 1) / 1_000_000 };
    const body = JSON.stringify({ unit: { serial: 'S' }, reports: [{ at: new Date().toISOString(), position }] });
    const headers = { 'content-type': 'application/json' };
    const { json } = await call('POST', `/api/v1/telemetry/intake/${VIN}`, { token: partner, headers, body });
    return settled(partner, json.receiptId);
  }
  await report();
  const script = [commandsOf('The contract'), commandsOf(heading)]
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', base)
    .replaceAll('127.0.0.1:8081', `127.0.0.1:${app.grpcPort}`)
    .replaceAll(/examples\/livefeed\.\w+/g, `$& --at 127.0.0.1:${app.grpcPort} --rest ${base}`)
    .replace(/^python3 /gm, `${python} `)
    .replace(/^grpcurl /gm, `${grpcurl} `);
  let isDone = false;
  const following = run('bash', ['-e', '-c', script], { cwd: folder }).finally(() => (isDone = true));
  while (!isDone) await report();
  return { folder, said: (await following).stdout };
}

function recordsOf(said: string): { signals: { gps: { latitude: number } } }[] {
  return said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('TypeScript follows, with the proto that it got from the server', async () => {
  const { folder, said } = await follow('TypeScript and JavaScript');
  expect(recordsOf(said).map(({ signals }) => signals.gps.latitude)).toEqual([39.5, 39.5]);
  for (const file of ['livefeed', 'record']) {
    const path = `proto/gladhand/livefeed/v1/${file}.proto`;
    expect(readFileSync(join(folder, path))).toEqual(readFileSync(join(ROOT, 'packages/contract', path)));
  }
});

test.skipIf(python === undefined)('Python follows, with the proto that it got from the server', async () => {
  const { said } = await follow('Python');
  expect(recordsOf(said).map(({ signals }) => signals.gps.latitude)).toEqual([39.5, 39.5]);
});

test.skipIf(grpcurl === undefined)('grpcurl lists, describes and follows without any proto', async () => {
  const { said } = await follow('grpcurl');
  expect(said).toMatch(/^gladhand\.livefeed\.v1\.LiveFeed$/m);
  expect(said).toContain('message SubscribeRequest {');
  expect(said).toContain('"gps.latitude"');
});
