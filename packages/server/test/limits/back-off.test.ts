import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { openShell } from '../shell.ts';
import { openLimitedWorld } from './limited-world.ts';

const EXAMPLE = join(import.meta.dirname, '../../../../examples/back-off.mjs');
const VIN = '1UYVS2533P7204518';

async function run(base: string, key: string, payloads: readonly object[]) {
  const directory = mkdtempSync(join(tmpdir(), 'gladhand-back-off-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'payloads.jsonl');
  writeFileSync(file, payloads.map((payload) => `${JSON.stringify(payload)}\n`).join(''));
  const env = { ...openShell().env, GLADHAND_API_KEY: key };
  const child = spawn('node', [EXAMPLE, VIN, file, '--at', base], { env });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { accepted: output.match(/^accepted /gm)?.length ?? 0, errors, code: code as number };
}

const payload = (at: number) => ({
  position: { latitude: 52, longitude: 5, fixTime: new Date(1_763_625_600_000 + at * 1000).toISOString(), valid: true },
  device: { uniqueId: 'd' },
});

test('the worked example sends everything, once, however small the limit', async () => {
  const world = await openLimitedWorld();
  await world.setProductLimit('traccar', { limit: 2, windowSeconds: 2 });
  const key = await world.issueKey(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const sent = await run(
    world.base,
    key,
    Array.from({ length: 7 }, (_, at) => payload(at)),
  );
  expect(sent).toMatchObject({ accepted: 7, code: 0 });
  const stored = await world.app.backends.database.owner.selectFrom('envelope').select('id').execute();
  expect(stored).toHaveLength(7);
});

test('the worked example waits as long as it is told, and sends the same again', async () => {
  const seen: { key: string | undefined; atMs: number }[] = [];
  const server = createServer((request, response) => {
    request.resume();
    const answer = (status: number, body: object, headers = {}) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    if (request.url!.endsWith('authenticate')) return answer(200, { accessToken: 'token' });
    seen.push({ key: request.headers['idempotency-key'] as string, atMs: performance.now() });
    if (seen.length === 1) return answer(429, { code: 'rate-limited' }, { 'retry-after': '2' });
    if (seen.length === 2) return answer(503, { code: 'overloaded' });
    if (seen.length === 3) return request.socket.destroy();
    return answer(202, { receiptId: 'receipt' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { accepted, errors, code } = await run(`http://127.0.0.1:${port}`, 'key', [payload(1)]);
  expect([accepted, code, seen.length, new Set(seen.map(({ key }) => key)).size]).toEqual([1, 0, 4, 1]);
  // A timer may fire a millisecond early.
  expect(seen[1]!.atMs - seen[0]!.atMs).toBeGreaterThan(1_990);
  const reasons = errors.split('\n').map((line) => line.replace(/^waiting [\d.]+ s: /, ''));
  expect(reasons).toEqual(['429 rate-limited', '503 overloaded', 'fetch failed', '']);
});

test('the worked example gives up on what waiting does not mend, and says what it is', async () => {
  const world = await openLimitedWorld();
  const { accepted, errors, code } = await run(world.base, 'nonsense', [payload(1)]);
  expect([accepted, code]).toEqual([0, 1]);
  expect(errors).toContain('authenticate: 401 invalid-api-key: This is not a partner API key');
});
