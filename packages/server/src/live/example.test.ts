import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { python } from '../../test/installed-clients.ts';
import { createArrayStore, openHarness } from '../../test/live-feed.ts';

const EXAMPLES = join(import.meta.dirname, '../../../../examples');
const LANGUAGES = [
  { language: 'TypeScript', program: process.execPath, file: 'livefeed.ts' },
  { language: 'Python', program: python, file: 'livefeed.py' },
] as const;

function run(program: string, file: string, ...args: string[]) {
  const child = spawn(program, [join(EXAMPLES, file), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const reader = createInterface({ input: child.stdout });
  const lines = reader[Symbol.asyncIterator]();
  return {
    errors: createInterface({ input: child.stderr }),
    line: async () => (await lines.next()).value as string,
    exited,
  };
}

describe.each(LANGUAGES)('the example client in $language', ({ program, file }) => {
  const isThere = program !== undefined;
  const start = (...args: string[]) => run(program!, file, ...args);

  test.skipIf(!isThere)(
    'prints records as lines of JSON, as REST gives them, with nothing but the proto files',
    async () => {
      const store = createArrayStore();
      const { feed, ring } = await openHarness(store.reader);
      const example = start('good', '--at', `127.0.0.1:${feed.port}`);
      await once(example.errors, 'line');
      store.append({ signals: { gps: { latitude: 41.5, speedKph: 0 }, doors: [{ id: 'rear', state: 'open' }] } }, {});
      ring();
      const first = JSON.parse(await example.line());
      expect(first).toMatchObject({
        product: 'traccar',
        signals: { gps: { latitude: 41.5, speedKph: 0 }, doors: [{ id: 'rear', state: 'open' }] },
      });
      expect(Date.parse(first.observedAt)).toBe(Date.parse('2026-11-20T07:59:59.250Z'));
      const second = JSON.parse(await example.line());
      expect(second).toMatchObject({ signals: { motion: { moving: true } } });
      // protobuf's own JSON writes 64-bit numbers as text.
      expect([first, second].map(({ position }) => Number(position))).toEqual([1, 2]);
    },
  );

  test.skipIf(!isThere)('goes on after its cursor when it is given one', async () => {
    const store = createArrayStore();
    const { feed, connect, ring } = await openHarness(store.reader);
    store.append({}, {}, {});
    const before = connect();
    await vi.waitUntil(() => before.messages.length > 0);
    // It is there before the client comes: without the cursor it would be missed.
    store.append({});
    ring();
    const { cursor } = before.messages[0]!;
    const example = start('good', '--at', `127.0.0.1:${feed.port}`, '--cursor', cursor);
    expect(Number(JSON.parse(await example.line()).position)).toBe(4);
  });

  test.skipIf(!isThere)('says why it was refused and exits', async () => {
    const { feed } = await openHarness(createArrayStore().reader);
    const example = start('stolen', '--at', `127.0.0.1:${feed.port}`);
    const [line] = await once(example.errors, 'line');
    expect(line).toContain('UNAUTHENTICATED');
    expect(await example.exited).toEqual([1, null]);
  });
});
