import type { Database } from '../database/database.ts';
import * as store from './store.ts';

/**
 * Reading the truth. Promise: `feed` walks records in the order of their positions and, whatever commits late, never
 * shows a position below one it has already shown (decision 0001); `byTime` walks one asset's or device's records in
 * the order of `observedAt`. Every read is bound to its organization twice, by its statement and by row-level security.
 * JSON is built once, by the database. Assumes the caller has resolved which organization may be read. Fails with `temporarily-unavailable` while the database recovers.
 */
export interface TelemetryReader {
  /** The highest position that is visible; a feed that starts here starts from now. */
  head(): Promise<number>;
  feed(request: FeedRequest): Promise<FeedRow[]>;
  byTime(request: TimeRequest): Promise<TimePage>;
  latest(request: LatestRequest): Promise<LatestRow[]>;
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

export interface FeedRow {
  readonly position: number;
  readonly assetId: string;
  readonly assetKind: 'trailer' | 'deliversafe' | 'plant';
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
  /** Where the next page starts; null when this one reached the end. */
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

export interface LatestRow {
  readonly assetId: string;
  /** `{assetId, assetKind, vin, metrics: {metric: {value, observedAt, receivedAt, recordId, deviceId}}}` as wire JSON. */
  readonly json: string;
}

export function createTelemetryReader(database: Database): TelemetryReader {
  return {
    head: () => store.readHead(database),
    feed: (request) => database.within(request.organizationId, (own) => store.readFeed(own, request), 'read'),
    byTime: (request) => database.within(request.organizationId, (own) => store.readByTime(own, request), 'read'),
    latest: (request) => database.within(request.organizationId, (own) => store.readLatest(own, request), 'read'),
  };
}
