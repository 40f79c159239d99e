import type { Clock } from '@gladhand/base/clock.ts';

/** How fast a difference to the wall clock is made up: a step of a minute in two hours. */
const SLEW = 1 / 128;

/**
 * Unix ms that never go back and never jump: they run with the monotonic clock and lean towards the wall clock, so a
 * clock that is set neither opens a window early nor keeps it shut.
 */
export function createSteadyTime(clock: Clock): () => number {
  let steadyMs = clock.nowMs();
  let monotonicMs = clock.monotonicMs();
  return () => {
    const elapsedMs = Math.max(0, clock.monotonicMs() - monotonicMs);
    monotonicMs += elapsedMs;
    steadyMs += elapsedMs;
    const slewMs = elapsedMs * SLEW;
    steadyMs += Math.max(-slewMs, Math.min(slewMs, clock.nowMs() - steadyMs));
    return steadyMs;
  };
}
