import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createHeldEpoch } from '../../test/held-epoch.ts';
import { createManualClock } from '../../test/manual-clock.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openEpoch } from './epoch.ts';

async function openWorld() {
  const database = await openTestDatabase();
  const clock = createManualClock();
  const doorbell = createLocalDoorbell();
  const held = createHeldEpoch(database);
  const epoch = await openEpoch({ database: held.database, clock, doorbell, log: silentLogger });
  onTestFinished(() => epoch.close());
  /** What the triggers of every change do. */
  const raise = () => sql`update access_epoch set value = value + 1`.execute(database.owner);
  return { clock, doorbell, held, epoch, raise };
}

test('a rise is told to everybody who asked for it, once, with the new number', async () => {
  const { epoch, raise } = await openWorld();
  const before = epoch.value;
  const heard: number[] = [];
  const stop = epoch.onRise(() => heard.push(epoch.value));
  epoch.onRise(() => heard.push(epoch.value));
  await epoch.refresh();
  expect(heard).toEqual([]);
  await raise();
  await epoch.announceChange();
  expect(heard).toEqual([before + 1, before + 1]);
  stop();
  await raise();
  await epoch.announceChange();
  expect(heard).toEqual([before + 1, before + 1, before + 2]);
});

test('the number is read once an interval, however many caches look whether they are fresh', async () => {
  const { clock, held, epoch } = await openWorld();
  const before = held.reads;
  for (let interval = 1; interval <= 4; interval += 1) {
    for (let cache = 0; cache < 100; cache += 1) epoch.isFresh(1_000);
    clock.advance(249);
    expect(held.reads - before).toBe(interval - 1);
    clock.advance(1);
    await expect.poll(() => epoch.isFresh(0)).toBe(true);
    expect(held.reads - before).toBe(interval);
  }
});

test('freshness counts from when the number was asked for, not from the answer', async () => {
  const { clock, held, epoch } = await openWorld();
  const read = held.hold();
  const refreshed = epoch.refresh();
  await read.isAnswered;
  clock.advance(500);
  read.release();
  await refreshed;
  expect(epoch.isFresh(500)).toBe(true);
  expect(epoch.isFresh(499)).toBe(false);
});

test.each(['a ring', 'an announcement'])(
  'a read that was on its way when a change was committed makes nothing fresh after %s',
  async (how) => {
    const { doorbell, held, epoch, raise } = await openWorld();
    const read = held.hold();
    const refreshed = epoch.refresh();
    await read.isAnswered;
    await raise();
    const before = epoch.value;
    const announced = how === 'a ring' ? doorbell.ring('keys') : epoch.announceChange();
    await Promise.resolve();
    const next = held.hold();
    read.release();
    await refreshed;
    expect(epoch.value).toBe(before);
    expect(epoch.isFresh(Number.MAX_SAFE_INTEGER)).toBe(false);
    next.release();
    await announced;
    await epoch.refresh();
    expect(epoch.value).toBe(before + 1);
    expect(epoch.isFresh(0)).toBe(true);
  },
);

test('a database that does not answer is given up after two seconds, and its answer, when it comes late, is not believed', async () => {
  const { clock, held, epoch } = await openWorld();
  const lost = held.hold();
  const refreshed = epoch.refresh().catch((error: unknown) => error);
  await lost.isAnswered;
  clock.advance(2_000);
  expect(await refreshed).toMatchObject({ code: 'temporarily-unavailable' });
  expect(epoch.isFresh(1_999)).toBe(false);
  held.letThrough();
  clock.advance(250);
  await epoch.refresh();
  expect(epoch.isFresh(0)).toBe(true);
  clock.advance(100);
  lost.release();
  await Promise.resolve();
  expect(epoch.isFresh(99)).toBe(false);
});
