import { cutPage } from '@gladhand/base/page.ts';
import type { AssetKind } from '@gladhand/contract/record.ts';
import { EXAMINED_ROWS_MAX } from '../database/bounded-page.ts';
import type { Database } from '../database/database.ts';
import * as store from './read-store.ts';

/**
 * Reading the truth. Promise: `feed` walks records in the order of their positions and, whatever commits late, never
 * shows a position below one it has already shown (decision 0001); `byTime` walks one asset's or device's records in
 * the order of `observedAt`. Every page examines a bounded number of rows, whatever its filter (decision 0010): it may
 * hold less than was asked for although there is more, and says itself where to go on. Every read but `tail` is bound to
 * its organization twice, by its statement and by row-level security. JSON is built once, by the database. Assumes the
 * caller has resolved which organization may be read. Fails with `temporarily-unavailable` while the database recovers.
 */
export interface TelemetryReader {
  /** The highest position that is visible; a feed that starts here starts from now. */
  head(): Promise<number>;
  /**
   * The next records of several organizations at once, in the order of their positions: for what follows all of them and
   * hands each its own. Not for requests, because row-level security does not stand behind it.
   */
  tail(request: TailRequest): Promise<TailPage>;
  feed(request: FeedRequest): Promise<FeedPage>;
  byTime(request: TimeRequest): Promise<TimePage>;
  latest(request: LatestRequest): Promise<LatestPage>;
}

export interface FeedFilter {
  readonly organizationId: string;
  /** A record passes when its asset is in `assetIds` or was in one of `fleetIds`; without both, every record does. */
  readonly fleetIds?: readonly string[];
  readonly assetIds?: readonly string[];
  /** Bit set of signal groups (see signal-groups.ts); a record with any of them passes. */
  readonly signalGroups?: number;
  readonly plantIds?: PlantIds;
}

/** The plants a key is restricted to; null or missing: every plant of the organization. Other assets always pass. */
export type PlantIds = ReadonlySet<string> | null;

export interface FeedRequest extends FeedFilter {
  readonly afterPosition: number;
  readonly take: number;
}

export interface FeedPage {
  /** Records that pass the filter, in order, at most `take`. */
  readonly rows: readonly FeedRow[];
  /**
   * Every record up to this position has been examined, and none will appear below it: the next page starts after it.
   * It is lower than `afterPosition` only if that is ahead of the store, as after a restore from a backup.
   */
  readonly through: number;
  /** Whether the page has examined everything that was visible when it was asked for. If not, `through` has moved. */
  readonly isCaughtUp: boolean;
}

export interface TailRequest {
  readonly organizationIds: readonly string[];
  readonly afterPosition: number;
  readonly take: number;
}

/** As a page of the feed; `through` holds for each of the organizations. */
export interface TailPage extends Omit<FeedPage, 'rows'> {
  readonly rows: readonly TailRow[];
}

export interface TailRow extends FeedRow {
  readonly organizationId: string;
}

export interface FeedRow {
  readonly position: number;
  readonly assetId: string;
  readonly assetKind: AssetKind;
  readonly fleetId: string | null;
  readonly signalGroups: number;
  /** The record as wire JSON. */
  readonly json: string;
}

export interface TimeRequest {
  readonly organizationId: string;
  readonly of: { readonly assetId: string } | { readonly deviceId: string };
  /** Only records with a position fix, cut down to their `gps` signals. */
  readonly gpsOnly: boolean;
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly order: 'asc' | 'desc';
  readonly after: { readonly observedAtMs: number; readonly id: string } | null;
  readonly take: number;
  readonly plantIds?: PlantIds;
}

export interface TimePage {
  /** The records as wire JSON, joined by commas: what stands between `[` and `]`. */
  readonly json: string;
  readonly count: number;
  /** Where the next page starts; null when this one reached the end, however few records it holds. */
  readonly after: { readonly observedAtMs: number; readonly id: string } | null;
}

export interface LatestRequest {
  readonly organizationId: string;
  readonly fleetId?: string;
  readonly assetId?: string;
  readonly afterAssetId: string | null;
  readonly take: number;
  readonly plantIds?: PlantIds;
}

export interface LatestPage {
  readonly rows: readonly LatestRow[];
  /** Where the next page starts; null when this one reached the end, however few assets it holds. */
  readonly afterAssetId: string | null;
}

export interface LatestRow {
  readonly assetId: string;
  /** `{assetId, assetKind, vin, metrics: {metric: {value, observedAt, receivedAt, recordId, deviceId}}}` as wire JSON. */
  readonly json: string;
}

/** `examinedRowsMax`: how many rows one page examines at most. */
export function createTelemetryReader(database: Database, examinedRowsMax = EXAMINED_ROWS_MAX): TelemetryReader {
  return {
    head: () => store.readHead(database.newest),
    async tail(request) {
      // The head is read first, as in `feed`.
      const head = await store.readHead(database.newest);
      const { afterPosition, take } = request;
      if (afterPosition >= head) return { rows: [], through: head, isCaughtUp: true };
      const end = Math.min(head, afterPosition + examinedRowsMax);
      const { rows, last } = cutPage(await store.readTail(database.newest, request, end), take);
      const through = last?.position ?? end;
      return { rows, through, isCaughtUp: through === head };
    },
    feed: (request) =>
      database.within(
        request.organizationId,
        async (own): Promise<FeedPage> => {
          // Read before the records: all that is visible now is visible to the statement after it (decision 0001). So a
          // page that ends because there are no more records has examined everything up to here.
          const head = await store.readHead(own);
          if (request.afterPosition >= head) return { rows: [], through: head, isCaughtUp: true };
          const { rows, last } = await store.readFeed(own, request, examinedRowsMax);
          if (last !== null) return { rows, through: last.position, isCaughtUp: false };
          return { rows, through: Math.max(head, rows.at(-1)?.position ?? 0), isCaughtUp: true };
        },
        'walk',
      ),
    byTime: (request) =>
      database.within(
        request.organizationId,
        async (own): Promise<TimePage> => {
          const { rows, last } = await store.readByTime(own, request, examinedRowsMax);
          const json = rows.map((row) => row.json).join(',');
          return {
            json,
            count: rows.length,
            after: last && { observedAtMs: last.observedAt.getTime(), id: last.id },
          };
        },
        'walk',
      ),
    latest: (request) =>
      database.within(
        request.organizationId,
        async (own): Promise<LatestPage> => {
          const { rows, last } = await store.readLatest(own, request, examinedRowsMax);
          return { rows, afterAssetId: last?.assetId ?? null };
        },
        'walk',
      ),
  };
}
