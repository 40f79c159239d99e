import type { Logger } from '@gladhand/base/log.ts';
import { assembleBatch, type Batch } from './batch.ts';
import type { RecordFilter } from './filter.ts';
import type { HistoryPage } from './history.ts';

/** The messages of one page of the past, one after the other. */
export interface PageMessages {
  /** Memory the page is reckoned with. */
  readonly bytes: number;
  /** Whether `next` has given the last one. */
  readonly isOver: boolean;
  /** The last one goes through to the end of the page, also past records that the filter leaves out. */
  next(): Batch;
}

export function createPageMessages(
  { entries, through, bytes }: HistoryPage,
  filter: RecordFilter,
  sealCursor: (position: number) => string,
  log: Logger,
): PageMessages {
  let index = 0;
  let isOver = false;
  return {
    bytes,
    get isOver() {
      return isOver;
    },
    next() {
      const isEmpty = index >= entries.length;
      const batch = isEmpty
        ? { through, message: null, records: 0 }
        : assembleBatch(entries, index, filter, sealCursor, log);
      while (index < entries.length && entries[index]!.position <= batch.through) index += 1;
      isOver = index >= entries.length;
      return isOver ? { ...batch, through } : batch;
    },
  };
}
