import type { Clock } from '@gladhand/base/clock.ts';

/** Stands for an answer that did not come in time. */
export const LATE: unique symbol = Symbol('late');

/**
 * What `work` comes to, or LATE after `budgetMs`; a late answer or error is dropped. When this process was busy for
 * longer than that, an answer may already lie in the socket: it is read before the time is called up.
 */
export function within<T>(clock: Clock, budgetMs: number, work: Promise<T>): Promise<T | typeof LATE> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(budgetMs, () => setImmediate(resolve, LATE));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error) => {
        cancel();
        reject(error);
      },
    );
  });
}
