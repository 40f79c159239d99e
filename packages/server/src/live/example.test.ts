import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { createArrayStore, openHarness } from '../../test/live-feed.ts';

const EXAMPLE = join(import.meta.dirname, '../../../../examples/livefeed.ts');

function run(...args: string[]) {
  const child = spawn(process.execPath, [EXAMPLE, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
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

test('the example client prints records as lines of JSON, as REST gives them, with nothing but the proto files', async () => {
  const store = createArrayStore();
  const { feed, ring } = await openHarness(store.reader);
  const example = run('good', '--at', `127.0.0.1:${feed.port}`);
  await once(example.errors, 'line');
  store.append({ signals: { gps: { latitude: 41.5, speedKph: 0 }, doors: [{ id: 'rear', state: 'open' }] } }, {});
  ring();
  expect(JSON.parse(await example.line())).toMatchObject({
    position: 1,
    product: 'traccar',
    observedAt: '2026-11-20T07:59:59.250Z',
    signals: { gps: { latitude: 41.5, speedKph: 0 }, doors: [{ id: 'rear', state: 'open' }] },
  });
  expect(JSON.parse(await example.line())).toMatchObject({ position: 2, signals: { motion: { moving: true } } });
});

test('the example client says why it was refused and exits', async () => {
  const { feed } = await openHarness(createArrayStore().reader);
  const example = run('stolen', '--at', `127.0.0.1:${feed.port}`);
  const [line] = await once(example.errors, 'line');
  expect(line).toContain('UNAUTHENTICATED');
  expect(await example.exited).toEqual([1, null]);
});
