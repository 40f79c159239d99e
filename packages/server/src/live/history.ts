import type { TelemetryReader } from '../telemetry/read.ts';
import { type Entry, toEntry } from './batch.ts';
import type { RecordFilter } from './filter.ts';

/**
 * Pages for subscribers that are behind the window: those that resume, and those that read slowly. Promise: at most
 * `readsMax` pages are being read at once, in the order asked for, so that a thousand subscribers resuming together
 * leave the database to others as well; subscribers that ask for the same page get the same page.
 */
export interface History {
  /** Records after `after`; `floorNow` is asked when the database is. */
  read(organizationId: string, filter: RecordFilter, after: number, floorNow: () => number): Promise<HistoryPage>;
}

export interface HistoryPage {
  readonly entries: readonly Entry[];
  /** Every record that passes the filter and has a position up to this one has now been read. */
  readonly through: number;
  /** Memory it is reckoned with. */
  readonly bytes: number;
}

/** At about 600 bytes a record, a page is two messages. */
export const HISTORY_TAKE = 128;

export function createHistory(reader: TelemetryReader, readsMax: number): History {
  const pending = new Map<string, Promise<HistoryPage>>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function read(
    organizationId: string,
    filter: RecordFilter,
    after: number,
    floorNow: () => number,
  ): Promise<HistoryPage> {
    if (running >= readsMax) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      // All of it is visible before the read begins, because the tail has read that far (decision 0001).
      const floor = floorNow();
      const rows = await reader.feed({ organizationId, afterPosition: after, take: HISTORY_TAKE, ...filter.narrow });
      const entries = rows.map(toEntry);
      const last = entries.at(-1)?.position ?? after;
      const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
      return { entries, through: rows.length < HISTORY_TAKE ? Math.max(last, floor) : last, bytes };
    } finally {
      // The place is handed over, not given back, so nobody slips in between.
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  }

  return {
    read(organizationId, filter, after, floorNow) {
      const key = `${organizationId} ${after} ${filter.key}`;
      let page = pending.get(key);
      if (page === undefined) {
        page = read(organizationId, filter, after, floorNow).finally(() => pending.delete(key));
        pending.set(key, page);
      }
      return page;
    },
  };
}
