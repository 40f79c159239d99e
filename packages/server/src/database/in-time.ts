import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';

/** A caller is told to come back rather than left waiting for a database that does not answer. */
const ANSWER_MS_MAX = 2_000;

/** `work`, or `temporarily-unavailable` with the text `detail` when it takes longer than `ANSWER_MS_MAX`. */
export function inTime<Result>(clock: Clock, detail: string, work: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ANSWER_MS_MAX, () =>
      reject(new Fault('temporarily-unavailable', detail, { retryAfterSeconds: 1 })),
    );
    work.then(resolve, reject).finally(cancel);
  });
}
