import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Fault } from '@gladhand/base/fault.ts';
import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import type { IntakePass } from '../limits/intake-pass.ts';
import { openPressure, PRESSURE_LIMITS, type PressureLimits } from './pressure.ts';

const LIMITS = { requestsMax: 100, bytesMax: 1_000, stalledMs: 1_000, waitMsMax: 1_000 };

function open(limits: PressureLimits = LIMITS) {
  const clock = createManualClock();
  const world = { pending: { envelopes: 0, bytes: 0, groupsWritten: 0 }, backlog: 0, isReady: true };
  const refused: string[] = [];
  const pressure = openPressure({
    log: { pending: () => world.pending, backlog: async (most = 1e9) => Math.min(most, world.backlog) },
    isDatabaseReady: () => world.isReady,
    clock,
    random: () => 0.999,
    backlogEnvelopesMax: 50,
    limits,
    onRefused: (reason) => refused.push(reason),
  });
  const enter = (keyId = 'a', bytes = 1): IntakePass | string => {
    try {
      return pressure.enter({ keyId, bytes });
    } catch (error) {
      return `${(error as Fault).code} ${refused.at(-1)} ${(error as Fault).retryAfterSeconds}`;
    }
  };
  const enterMany = (count: number, keyId?: string) =>
    Array.from({ length: count }, () => enter(keyId)).filter((pass) => typeof pass === 'object');
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
  for (const pass of inside) {
    pass.leave();
    pass.leave();
  }
  expect(pressure.state()).toEqual({ requests: 0, bytes: 0, isRefusing: false });
  // A body that is larger than everything together may come alone.
  expect(enter('a', 5_000)).toBeTypeOf('object');
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

test('a body counts as what it is in memory, from when it is decoded', () => {
  const { pressure, enter } = open();
  const pass = enter('a', 10) as IntakePass;
  pass.hold(900);
  expect(pressure.state().bytes).toBe(900);
  expect(enter('b', 200)).toBe('overloaded bytes 2');
  pass.hold(100);
  expect(enter('b', 200)).toBeTypeOf('object');
  pass.leave();
  pass.hold(900);
  expect(pressure.state().bytes).toBe(200);
});

test('no more waits than is done in a second, once it is known how much that is', async () => {
  const { enter, pass } = open(PRESSURE_LIMITS);
  const MIB = 1024 * 1024;
  const waiting: IntakePass[] = [];
  // Sends as much as it may, of which 1 MiB a look is done: 5 MiB a second.
  const sendAll = () => {
    for (let key = 0, refused = 0; ; key += 1) {
      const entered = enter(`key ${key % 16}`, MIB);
      if (typeof entered === 'string') {
        refused += 1;
        if (refused === 16) return entered;
      } else {
        refused = 0;
        entered.hold(MIB);
        waiting.push(entered);
      }
    }
  };
  // Nobody knows yet how fast it goes.
  expect(sendAll()).toBe('overloaded bytes 2');
  expect(waiting.length).toBe(64);
  for (let look = 0; look < 80; look += 1) {
    waiting.shift()!.leave();
    await pass(200);
    if (look > 5) expect(sendAll()).toBe('overloaded slow 2');
  }
  expect(waiting.length).toBeGreaterThanOrEqual(4);
  expect(waiting.length).toBeLessThanOrEqual(6);
  // Done with all of it, and nothing is known any more.
  for (const one of waiting.splice(0)) one.leave();
  await pass(400);
  expect(sendAll()).toBe('overloaded bytes 2');
});

test('who sends more than is done makes itself wait, and leaves room to who sends little', async () => {
  const { enter, pass } = open(PRESSURE_LIMITS);
  const MIB = 1024 * 1024;
  const waiting: IntakePass[] = [];
  const send = (keyId: string) => {
    const entered = enter(keyId, MIB);
    if (typeof entered === 'string') return entered;
    entered.hold(MIB);
    waiting.push(entered);
    return 'in';
  };
  // 2 MiB a look is done: 10 MiB a second.
  for (let look = 0; look < 40; look += 1) {
    while (send('greedy') === 'in');
    for (const done of waiting.splice(0, 2)) done.leave();
    await pass(200);
    if (look > 20) expect(send('modest')).toBe('in');
  }
  while (send('greedy') === 'in');
  expect(send('greedy')).toBe('overloaded slow 2');
  expect(waiting.length).toBeLessThanOrEqual(10);
});

test('whoever sends slowly does not make the others wait: what is not here yet is not waiting for us', async () => {
  const { enter, pass } = open(PRESSURE_LIMITS);
  for (let place = 0; place < 40; place += 1) enter('slow', 200_000);
  await pass(3_000);
  expect(enter('another', 200_000)).toBeTypeOf('object');
});

test('a log that writes nothing for a second is refused more until it moves, and slow is not stalled', async () => {
  const { world, enter, pass } = open();
  for (let group = 1; group < 10; group += 1) {
    world.pending = { envelopes: 9, bytes: 9, groupsWritten: group };
    await pass(800);
    expect(enter()).toBeTypeOf('object');
  }
  await pass(1_200);
  expect(enter()).toBe('overloaded stalled 4');
  world.pending = { envelopes: 9, bytes: 9, groupsWritten: 11 };
  await pass(200);
  expect(enter()).toBeTypeOf('object');
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
  expect(enter()).toBeTypeOf('object');
});
