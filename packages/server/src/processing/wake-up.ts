import type { Clock } from '@gladhand/base/clock.ts';

/** What the mapper loop waits for between two looks into the log. */
export interface WakeUp {
  readonly ring: () => void;
  /** Resolves at a ring, after `delayMs`, or when the loop closes; at once when it rang since the last wait. */
  wait(delayMs: number): Promise<void>;
}

export function createWakeUp(clock: Clock, closing: AbortSignal): WakeUp {
  let isRung = false;
  let wake = () => {};
  return {
    ring() {
      isRung = true;
      wake();
    },
    async wait(delayMs) {
      if (!isRung && !closing.aborted) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(delayMs, resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
      }
      isRung = false;
    },
  };
}
