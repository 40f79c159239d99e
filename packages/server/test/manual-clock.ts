import type { Clock } from '@gladhand/base/clock.ts';

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Moves time by `ms`, running what falls due on the way, in order. */
  advance(ms: number): void;
  /** Timers that are set and have not fired. */
  readonly timers: number;
}

export function createManualClock(startMs = Date.parse('2026-11-20T08:00:00.000Z')): ManualClock {
  let now = startMs;
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  return {
    nowMs: () => now,
    monotonicMs: () => now - startMs,
    after(delayMs, run) {
      const timer = { atMs: now + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const endMs = now + ms;
      for (;;) {
        const due = [...timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        timers.delete(due);
        now = Math.max(now, due.atMs);
        due.run();
      }
      now = endMs;
    },
    get timers() {
      return timers.size;
    },
  };
}
