import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { python } from '../../test/installed-clients.ts';
import { createArrayStore, openHarness, principal } from '../../test/live-feed.ts';
import { openShell } from '../../test/shell.ts';

const EXAMPLES = join(import.meta.dirname, '../../../../examples');
const LANGUAGES = [
  { language: 'JavaScript', program: 'node', file: 'livefeed.mjs' },
  { language: 'Python', program: python, file: 'livefeed.py' },
] as const;

/** Runs an example against `port`; the n-th time it trades its key it is given the n-th token, then refused. */
async function start(program: string, file: string, port: number, tokens: readonly string[]) {
  const traded: unknown[] = [];
  const rest = createServer((request, response) => {
    const accessToken = tokens[traded.push([request.url, request.headers['x-api-key']]) - 1];
    const refusal = { code: 'invalid-api-key', detail: 'This is not a customer API key.' };
    response.writeHead(accessToken === undefined ? 401 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(accessToken === undefined ? refusal : { accessToken }));
  });
  rest.listen(0, '127.0.0.1');
  await once(rest, 'listening');
  onTestFinished(() => void rest.close());
  const addresses = ['--at', `127.0.0.1:${port}`, '--rest', `http://127.0.0.1:${(rest.address() as AddressInfo).port}`];
  const env = { ...openShell().env, GLADHAND_API_KEY: 'key' };
  const child = spawn(program, [join(EXAMPLES, file), ...addresses], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const reader = createInterface({ input: child.stdout });
  const lines = reader[Symbol.asyncIterator]();
  const errorLines = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  return {
    traded,
    error: async () => (await errorLines.next()).value as string,
    line: async () => (await lines.next()).value as string,
    exited,
  };
}

describe.each(LANGUAGES)('the example client in $language', ({ program, file }) => {
  const isThere = program !== undefined;
  const run = (port: number, tokens: readonly string[]) => start(program!, file, port, tokens);

  test.skipIf(!isThere)(
    'prints records as lines of JSON, as REST gives them, with nothing but the proto files',
    async () => {
      const store = createArrayStore();
      const { feed, ring } = await openHarness(store.reader);
      const example = await run(feed.port, ['good']);
      expect(await example.error()).toContain('alive');
      store.append({ signals: { gps: { latitude: 41.5, speedKph: 0 }, doors: [{ id: 'rear', state: 'open' }] } }, {});
      ring();
      const first = JSON.parse(await example.line());
      expect(Date.parse(first.observedAt)).toBe(Date.parse('2026-11-20T07:59:59.250Z'));
      expect(first).toMatchObject({
        product: 'traccar',
        signals: { gps: { latitude: 41.5, speedKph: 0 }, doors: [{ id: 'rear', state: 'open' }] },
      });
      const second = JSON.parse(await example.line());
      expect(second).toMatchObject({ signals: { motion: { moving: true } } });
      // protobuf's own JSON writes 64-bit numbers as text.
      expect([first, second].map(({ position }) => Number(position))).toEqual([1, 2]);
      expect(example.traded).toEqual([['/api/v1/customers/authenticate', 'key']]);
    },
  );

  test.skipIf(!isThere)('when its token has expired, gets the next one and goes on where it was', async () => {
    const store = createArrayStore();
    const { feed, ring, revoke } = await openHarness(store.reader);
    const example = await run(feed.port, ['good', 'good']);
    expect(await example.error()).toContain('alive');
    store.append({});
    ring();
    expect(Number(JSON.parse(await example.line()).position)).toBe(1);
    revoke(principal().keyId);
    expect(await example.error()).toContain('UNAUTHENTICATED');
    store.append({});
    ring();
    expect(Number(JSON.parse(await example.line()).position)).toBe(2);
    expect(example.traded).toHaveLength(2);
  });

  test.skipIf(!isThere)('says why its key or its new token was refused, and exits', async () => {
    const { feed } = await openHarness(createArrayStore().reader);
    const withoutKey = await run(feed.port, []);
    expect(await withoutKey.error()).toBe('authenticate: 401 invalid-api-key: This is not a customer API key.');
    expect(await withoutKey.exited).toEqual([1, null]);
    const withStolenToken = await run(feed.port, ['stolen', 'stolen']);
    expect(await withStolenToken.error()).toContain('UNAUTHENTICATED');
    expect(await withStolenToken.exited).toEqual([1, null]);
    expect(withStolenToken.traded).toHaveLength(1);
  });
});
