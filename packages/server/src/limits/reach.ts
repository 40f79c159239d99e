import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';

/**
 * In a row, of which each was asked after the one before was missed: one pause, in which many answers are late at once,
 * is one miss and no outage.
 */
export const MISSES_MAX = 3;

/**
 * Whether the shared store is worth asking. A few answers in a row that were late or wrong close it; from then on only
 * probes ask, and the first that is answered in time opens it again. Each change is logged once.
 */
export interface Reach {
  readonly isOpen: boolean;
  onAnswer(): void;
  /** `askedMs`: when it was asked, monotonic. `reason` is logged with the change. */
  onMiss(reason: string, askedMs: number): void;
}

export function createReach(parts: {
  clock: Clock;
  log: Logger;
  missesMax?: number;
  onChange: (isOpen: boolean) => void;
}): Reach {
  const { clock, log, missesMax = MISSES_MAX, onChange } = parts;
  let isOpen = false;
  let isFirst = true;
  let misses = 0;
  let missedMs = Number.NEGATIVE_INFINITY;
  function change(to: boolean): void {
    isOpen = to;
    isFirst = false;
    misses = 0;
    onChange(to);
  }
  return {
    get isOpen() {
      return isOpen;
    },
    onAnswer() {
      misses = 0;
      if (isOpen) return;
      log.info('limits are shared through Redis');
      change(true);
    },
    onMiss(reason, askedMs) {
      if (askedMs < missedMs) return;
      missedMs = clock.monotonicMs();
      misses += 1;
      if (isOpen ? misses < missesMax : !isFirst) return;
      log.warn({ reason }, 'Redis does not decide limits in time: this node goes by its share of each limit');
      change(false);
    },
  };
}
