import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import type { Fault } from '../base/fault.ts';
import { openPressure } from './pressure.ts';

const LIMITS = { requestsMax: 100, bytesMax: 1_000, stalledMs: 1_000 };

function open() {
  const clock = createManualClock();
  const world = { pending: { envelopes: 0, bytes: 0, groupsWritten: 0 }, backlog: 0, isReady: true };
  const refused: string[] = [];
  const pressure = openPressure({
    log: { pending: () => world.pending, backlog: async (most = 1e9) => Math.min(most, world.backlog) },
    isDatabaseReady: () => world.isReady,
    clock,
    random: () => 0.999,
    backlogEnvelopesMax: 50,
    limits: LIMITS,
    onRefused: (reason) => refused.push(reason),
  });
  const enter = (keyId = 'a', bytes = 1): (() => void) | string => {
    try {
      return pressure.enter({ keyId, bytes });
    } catch (error) {
      return `${(error as Fault).code} ${refused.at(-1)} ${(error as Fault).retryAfterSeconds}`;
    }
  };
  const enterMany = (count: number, keyId?: string) =>
    Array.from({ length: count }, () => enter(keyId)).filter((leave) => typeof leave === 'function');
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.advance(100);
      await nextTurn();
    }
  };
  return { world, pressure, enter, enterMany, pass };
}

test('what is under way is bounded, by number and by bytes, and room comes back as requests end', () => {
  const { pressure, enter, enterMany } = open();
  const inside = [...enterMany(50, 'a'), ...enterMany(25, 'b'), ...enterMany(25, 'c')];
  expect(inside).toHaveLength(100);
  expect(enter('d')).toBe('overloaded requests 2');
  for (const leave of inside) {
    leave();
    leave();
  }
  expect(pressure.state()).toEqual({ requests: 0, bytes: 0, isRefusing: false });
  // A body that is larger than everything together may come alone.
  expect(enter('a', 5_000)).toBeTypeOf('function');
  expect(enter('b', 1)).toBe('overloaded bytes 2');
});

test('a key that holds half of everything gets no more while others still get in', () => {
  const { enter, enterMany } = open();
  expect(enterMany(80, 'greedy')).toHaveLength(50);
  expect(enterMany(20, 'modest')).toHaveLength(20);
  expect(enter('greedy')).toContain('overloaded');
  expect(enterMany(20, 'another')).toHaveLength(20);
});

test('what waits for the disk counts, also when its sender is gone', () => {
  const { world, enter } = open();
  world.pending = { envelopes: 101, bytes: 0, groupsWritten: 1 };
  expect(enter()).toBe('overloaded requests 2');
  world.pending = { envelopes: 1, bytes: 1_001, groupsWritten: 1 };
  expect(enter()).toBe('overloaded bytes 2');
});

test('a log that writes nothing for a second is refused more until it moves, and slow is not stalled', async () => {
  const { world, enter, pass } = open();
  for (let group = 1; group < 10; group += 1) {
    world.pending = { envelopes: 9, bytes: 9, groupsWritten: group };
    await pass(800);
    expect(enter()).toBeTypeOf('function');
  }
  await pass(1_200);
  expect(enter()).toBe('overloaded stalled 4');
  world.pending = { envelopes: 9, bytes: 9, groupsWritten: 11 };
  await pass(200);
  expect(enter()).toBeTypeOf('function');
});

test('intake closes while the database is away, and while the backlog is too long until a tenth of it is gone', async () => {
  const { world, pressure, enter, pass } = open();
  world.isReady = false;
  await pass(200);
  expect(enter()).toBe('overloaded database 4');
  expect(pressure.state().isRefusing).toBe(true);
  world.isReady = true;
  world.backlog = 51;
  await pass(1_400);
  expect(enter()).toBe('overloaded backlog 20');
  world.backlog = 46;
  await pass(1_400);
  expect(enter()).toBe('overloaded backlog 20');
  world.backlog = 45;
  await pass(1_400);
  expect(enter()).toBeTypeOf('function');
});
