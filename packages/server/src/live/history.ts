import type { TelemetryReader } from '../telemetry/read.ts';
import { type Entry, toEntry } from './batch.ts';
import type { RecordFilter } from './filter.ts';

/**
 * Pages for subscribers that are behind the window: those that resume, and those that read slowly. Promise: at most
 * `readsMax` pages are being read at once, in the order asked for, and each examines a bounded number of records. So a
 * thousand subscribers resuming together leave the database to others as well, and one whose filter lets little pass
 * waits its turn after every page like the rest. Subscribers that ask for the same page get the same page.
 */
export interface History {
  /** The page after `after`; it may be empty and still go further than that. */
  read(organizationId: string, filter: RecordFilter, after: number): Promise<HistoryPage>;
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

  async function read(organizationId: string, filter: RecordFilter, after: number): Promise<HistoryPage> {
    if (running >= readsMax) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      const request = { organizationId, afterPosition: after, take: HISTORY_TAKE, ...filter.narrow };
      const { rows, through } = await reader.feed(request);
      // The tail has read further than `after`. The store has lost that, and asking again would never end.
      if (through <= after) throw new Error(`The store ends at position ${through}; it had more before.`);
      const entries = rows.map(toEntry);
      return { entries, through, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
    } finally {
      // The turn is handed over, not given back, so nobody slips in between.
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  }

  return {
    read(organizationId, filter, after) {
      const key = `${organizationId} ${after} ${filter.key}`;
      let page = pending.get(key);
      if (page === undefined) {
        page = read(organizationId, filter, after).finally(() => pending.delete(key));
        pending.set(key, page);
      }
      return page;
    },
  };
}
