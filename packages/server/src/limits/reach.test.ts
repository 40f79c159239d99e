import { silentLogger } from '@gladhand/base/log.ts';
import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import { createReach, MISSES_MAX } from './reach.ts';

function openReach() {
  const clock = createManualClock();
  const changes: boolean[] = [];
  const reach = createReach({ clock, log: silentLogger, onChange: (isOpen) => changes.push(isOpen) });
  reach.onAnswer();
  return { clock, reach, changes };
}

test('many answers that are late at once are one miss', () => {
  const { clock, reach, changes } = openReach();
  const askedMs = clock.monotonicMs();
  clock.advance(25);
  for (let late = 0; late < 64; late += 1) reach.onMiss('late', askedMs);
  expect(changes).toEqual([true]);
});

test('misses one after the other close it, an answer between them begins the count anew, and each change is told once', () => {
  const { clock, reach, changes } = openReach();
  const miss = () => {
    clock.advance(1);
    reach.onMiss('away', clock.monotonicMs());
  };
  for (let times = 1; times < MISSES_MAX; times += 1) miss();
  reach.onAnswer();
  for (let times = 1; times < MISSES_MAX; times += 1) miss();
  expect(reach.isOpen).toBe(true);
  for (let times = 0; times < 10; times += 1) miss();
  expect(reach.isOpen).toBe(false);
  reach.onAnswer();
  expect(changes).toEqual([true, false, true]);
});
