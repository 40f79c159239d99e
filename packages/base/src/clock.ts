/**
 * Time as an argument. Promise: the server reads the wall clock and sets timers only through a `Clock`, so that a test can
 * move time instead of sleeping. Assumes that the host's clock is synchronized (NTP). Never fails.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Milliseconds of a clock that never goes back. Only differences between two readings have a meaning. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`. The returned function cancels it. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs` of the given clock. Rejects with the signal's reason as soon as the signal is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Keeps the process alive until the returned function is called. Timers of a `Clock` do not keep it alive. */
export function holdProcess(): () => void {
  const timer = setInterval(() => {}, 2 ** 30);
  return () => clearInterval(timer);
}
