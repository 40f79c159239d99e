import { validate, version } from 'uuid';
import { expect, test } from 'vitest';
import { createIds, systemIds, uuidTimeMs } from './ids.ts';

test('ids are UUIDv7, all different and in the order they were made, also within one millisecond', () => {
  const ids = Array.from({ length: 20_000 }, () => systemIds.uuid());
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
});

test('an id carries the millisecond it was made in', () => {
  const before = Date.now();
  const atMs = uuidTimeMs(systemIds.uuid());
  expect(atMs).toBeGreaterThanOrEqual(before);
  // Ids made faster than one can count within a millisecond may run ahead of the clock, never behind it.
  expect(atMs).toBeLessThanOrEqual(Date.now() + 1);
});

test('ids go on rising when the clock goes back a little, and follow one that was wrong by more', () => {
  let nowMs = Date.UTC(2026, 10, 23);
  const ids = createIds(() => nowMs);
  const first = ids.uuid();
  nowMs -= 500;
  const second = ids.uuid();
  expect([second > first, uuidTimeMs(second) - uuidTimeMs(first)]).toEqual([true, 0]);
  nowMs += 86_400_000;
  expect(uuidTimeMs(ids.uuid())).toBe(nowMs);
  nowMs -= 86_400_000;
  expect(uuidTimeMs(ids.uuid())).toBe(nowMs);
});
