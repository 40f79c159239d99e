import type { Clock } from '@gladhand/base/clock.ts';

/** Looks that a pace is taken from: at least a second of them, and the last two. */
const PACE_LOOKS_MIN = 5;
const PACE_LOOKS_MAX = 10;

/**
 * How long what waits will take, at the pace of the last two seconds. The log is written in bursts, so a pace is known
 * only after a second of them; and only while more waits than is done between two looks, because whoever is seldom asked
 * shows little of what it could do.
 */
export function createPace(clock: Clock) {
  let done = 0;
  let lookedMs = clock.monotonicMs();
  let looks: { readonly done: number; readonly ms: number }[] = [];
  let perMs: number | undefined;
  return {
    finish(bytes: number): void {
      done += bytes;
    },
    look(waiting: number): void {
      const nowMs = clock.monotonicMs();
      looks = [...looks.slice(1 - PACE_LOOKS_MAX), { done, ms: nowMs - lookedMs }];
      [lookedMs, done] = [nowMs, 0];
      const doneInAll = looks.reduce((sum, look) => sum + look.done, 0);
      if (waiting <= doneInAll / looks.length) looks = [];
      const isKnown = looks.length >= PACE_LOOKS_MIN;
      perMs = isKnown ? doneInAll / looks.reduce((sum, look) => sum + look.ms, 0) : undefined;
    },
    /** 0 while no pace is known. */
    msFor: (bytes: number) => (perMs === undefined ? 0 : bytes / perMs),
  };
}

export type Pace = ReturnType<typeof createPace>;
