import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { UsageDay } from '@gladhand/contract/limits.ts';
import type { Database } from '../database/database.ts';
import * as store from './usage-store.ts';

/**
 * How much each key used on each day. Counted in memory and added to the table together, so that a request costs no
 * write. Promise: what was counted is in the table within `FLUSH_MS`, at `close`, and before a list of this node is
 * read. A process that is killed loses at most `FLUSH_MS` of counting; while the database is away the counts are kept,
 * bounded by keys times days.
 */
export interface Usage {
  count(key: { readonly keyId: string; readonly organizationId: string }, used: Used): void;
  list(organizationId: string, query: store.UsageQuery): Promise<UsageDay[]>;
  close(): Promise<void>;
}

/** What one request used. */
export interface Used {
  readonly isRefused: boolean;
  readonly wouldRefuse: boolean;
  readonly bytes: number;
}

const FLUSH_MS = 5_000;
const DAY_MS = 86_400_000;
/** Two years, as long as somebody may want to compare a month with the one a year ago. */
export const USAGE_KEPT_DAYS = 800;
/** One insert has so many rows: eight parameters each, of the 65,535 there may be. */
const ROWS_PER_INSERT = 1_000;

interface Counts {
  readonly organizationId: string;
  readonly keyId: string;
  readonly dayNumber: number;
  requests: number;
  refused: number;
  wouldRefuse: number;
  bytes: number;
}

export function openUsage(parts: { database: Database; clock: Clock; log: Logger }): Usage {
  const { database, clock, log } = parts;
  /** Of the day that is open, by key; those of days before wait in `past`. */
  let counts = new Map<string, Counts>();
  let unwritten: Counts[] = [];
  let isClosed = false;
  let cancel = () => {};
  let flushing = Promise.resolve();

  async function write(): Promise<void> {
    unwritten.push(...counts.values());
    counts = new Map();
    while (unwritten.length > 0) {
      const rows = unwritten.slice(0, ROWS_PER_INSERT);
      await store.addUsage(database.system, merged(rows));
      unwritten = unwritten.slice(rows.length);
    }
  }

  /** One at a time, or two would write the same counts. */
  function flush(): Promise<void> {
    flushing = flushing.catch(() => {}).then(write);
    return flushing;
  }

  function schedule(): void {
    if (isClosed) return;
    cancel = clock.after(FLUSH_MS, () => {
      flush()
        .catch((error: unknown) => {
          // Or each round of an outage would add as many rows as there are keys.
          unwritten = [...mergedCounts(unwritten)];
          log.warn({ err: error }, 'the use of keys could not be written yet');
        })
        .finally(schedule);
    });
  }
  schedule();

  return {
    count({ keyId, organizationId }, { isRefused, wouldRefuse, bytes }) {
      const dayNumber = Math.floor(clock.nowMs() / DAY_MS);
      let mine = counts.get(keyId);
      if (mine === undefined || mine.dayNumber !== dayNumber) {
        if (mine !== undefined) unwritten.push(mine);
        mine = { organizationId, keyId, dayNumber, requests: 0, refused: 0, wouldRefuse: 0, bytes: 0 };
        counts.set(keyId, mine);
      }
      mine.requests += 1;
      if (isRefused) mine.refused += 1;
      if (wouldRefuse) mine.wouldRefuse += 1;
      mine.bytes += bytes;
    },
    async list(organizationId, query) {
      await flush();
      return database.within(organizationId, (db) => store.listUsage(db, organizationId, query), 'read');
    },
    async close() {
      isClosed = true;
      cancel();
      await flush().catch((error: unknown) => log.warn({ err: error }, 'the last use of keys is missing'));
    },
  };
}

/** What has aged out goes; the housekeeper calls this. */
export function forgetUsage(database: Database, nowMs: number): Promise<void> {
  return store.deleteUsageBefore(database.system, dayText(Math.floor(nowMs / DAY_MS) - USAGE_KEPT_DAYS));
}

function mergedCounts(all: readonly Counts[]): Iterable<Counts> {
  const byKey = new Map<string, Counts>();
  for (const one of all) {
    const name = `${one.keyId} ${one.dayNumber}`;
    const sum = byKey.get(name);
    if (sum === undefined) byKey.set(name, { ...one });
    else {
      sum.requests += one.requests;
      sum.refused += one.refused;
      sum.wouldRefuse += one.wouldRefuse;
      sum.bytes += one.bytes;
    }
  }
  return byKey.values();
}

function merged(all: readonly Counts[]): store.UsageRow[] {
  return [...mergedCounts(all)].map(({ dayNumber, ...row }) => ({ ...row, day: dayText(dayNumber) }));
}

function dayText(dayNumber: number): string {
  return new Date(dayNumber * DAY_MS).toISOString().slice(0, 10);
}
