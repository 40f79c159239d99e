import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import { describeLimits, freshKey, windowOf } from './conformance.ts';
import { createMemoryLimits } from './memory.ts';

describeLimits('limits in memory', async () => {
  const clock = createManualClock();
  return {
    openNode: async () => createMemoryLimits({ clock }),
    passTime: async (ms) => clock.advance(ms),
  };
});

test('a clock that is set back or forward opens no window and shuts none', async () => {
  const manual = createManualClock();
  let setMs = 0;
  const limits = createMemoryLimits({ clock: { ...manual, nowMs: () => manual.nowMs() + setMs } });
  const charges = [{ policy: windowOf({ limit: 1, windowSeconds: 60 }), key: freshKey(), cost: 1 }];
  expect((await limits.take({ charges })).allowed).toBe(true);
  setMs = 3_600_000;
  expect((await limits.take({ charges })).allowed).toBe(false);
  setMs = -3_600_000;
  expect((await limits.take({ charges })).allowed).toBe(false);
  manual.advance(61_000);
  expect((await limits.take({ charges })).allowed).toBe(true);
});
