import type { Clock } from '@gladhand/base/clock.ts';

/** Calls `work` every `everyMs` until the answer is called. */
export function repeat(clock: Clock, everyMs: number, work: () => void): () => void {
  let cancel = () => {};
  const next = () => {
    cancel = clock.after(everyMs, () => {
      next();
      work();
    });
  };
  next();
  return () => cancel();
}
