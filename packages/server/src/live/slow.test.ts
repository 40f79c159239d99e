import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { createArrayStore, openHarness, range, settled } from '../../test/live-feed.ts';

// A record of some 2 KiB: the HTTP/2 windows of a client that does not read are full after a few dozen.
const bulky = {
  signals: {
    reefer: {
      alarms: range(1, 40).map((code) => ({ code: `A${code}`, severity: 'check', description: 'door open too long' })),
    },
  },
};

test('a client that stops reading makes nobody wait, holds nothing but what is on its way, and is ended with a cursor that loses nothing', async () => {
  const store = createArrayStore();
  const { connect, ring, clock } = await openHarness(store.reader, { limits: { windowRecordsMax: 100 } });
  const [slow, quick] = [connect(), connect()];
  await Promise.all([slow.begun(), quick.begun()]);
  slow.stream.pause();
  for (const first of range(0, 39)) {
    store.append(...Array(50).fill(bulky));
    ring();
    await quick.received((first + 1) * 50);
  }
  expect(quick.positions).toEqual(range(1, 2_000));
  // It has fallen out of the window and does not read on: the store is left alone.
  await settled(() => store.feedReads);
  expect(slow.records.length).toBeLessThan(200);
  clock.advance(20_000);
  slow.stream.resume();
  const ending = await slow.ended;
  expect(ending).toMatchObject({ code: status.RESOURCE_EXHAUSTED, errorCode: 'reading-too-slowly' });
  expect(ending.cursor).toBe(slow.cursor);
  expect(slow.records.length).toBeLessThan(1_000);
  const resumed = connect({ cursor: ending.cursor! });
  await resumed.received(2_000 - slow.records.length);
  expect([...slow.positions, ...resumed.positions]).toEqual(range(1, 2_000));
});

test('a client that reads slowly falls back to the store and gets everything, in order', async () => {
  const store = createArrayStore();
  const { connect, ring, clock, feed } = await openHarness(store.reader, { limits: { windowRecordsMax: 20 } });
  const slow = connect();
  await slow.begun();
  slow.stream.pause();
  for (let round = 0; round < 30; round += 1) {
    store.append(...Array(50).fill(bulky));
    ring();
    // Now and then it takes a little, never everything that waits.
    slow.stream.resume();
    await slow.received(Math.min(slow.records.length + 10, (round + 1) * 50));
    slow.stream.pause();
    clock.advance(500);
  }
  slow.stream.resume();
  await slow.received(1_500);
  expect(slow.positions).toEqual(range(1, 1_500));
  expect(feed.counts().subscribers).toBe(1);
});

test('a stream whose ending is not read either is cut after a grace, and the others of its connection live on', async () => {
  const store = createArrayStore();
  const { connect, connectClient, ring, clock, feed, sent } = await openHarness(store.reader);
  const client = connectClient();
  const slow = connect({ filter: { signals: ['reefer'] } }, 'good', client);
  const sibling = connect({ filter: { signals: ['gps'] } }, 'good', client);
  await Promise.all([slow.begun(), sibling.begun()]);
  slow.stream.pause();
  store.append(...Array(3_000).fill(bulky));
  ring();
  expect(await settled(sent)).toBeLessThan(3_000);
  clock.advance(20_000);
  expect(feed.counts().subscribers).toBe(1);
  const before = slow.records.length;
  clock.advance(5_000);
  // Not resumed: what the client still learns, it learns from the reset.
  await new Promise<void>((resolve) =>
    slow.stream
      .once('end', resolve)
      .once('error', () => resolve())
      .once('status', () => resolve()),
  );
  expect(await slow.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect(slow.records.length).toBe(before);
  store.append({ signals: { gps: { latitude: 1 } } });
  ring();
  await sibling.received(1);
  expect(sibling.positions).toEqual([3_001]);
});
