import type { States } from '@gladhand/contract/record.ts';
import type { Signals } from '@gladhand/contract/signals.ts';
import { type Kysely, sql } from 'kysely';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import { toTextBlock } from '../database/text-block.ts';

/** The SQL of the latest values: one row for each asset and group of signals. */
export interface LatestKey {
  readonly assetId: string;
  readonly signalGroup: string;
  readonly organizationId: string;
}

export interface StoredLatest {
  readonly metrics: unknown;
  readonly isCapped: boolean;
}

/** How a row is found among those that were locked. */
export function latestKey({ assetId, signalGroup }: Pick<LatestKey, 'assetId' | 'signalGroup'>): string {
  return `${assetId} ${signalGroup}`;
}

/**
 * The values of these groups by `latestKey`, locked in a fixed order so that two writers never wait for each other.
 * Missing rows are made before any is locked: a writer that held one and then made another could meet a writer that
 * already sees both.
 */
export async function lockLatest(trx: Kysely<Schema>, keys: readonly LatestKey[]): Promise<Map<string, StoredLatest>> {
  const assetIds = plainArray(
    'uuid',
    keys.map((key) => key.assetId),
  );
  const groups = sql`${keys.map((key) => key.signalGroup)}::text[]`;
  await sql`
    insert into latest (asset_id, signal_group, organization_id, metrics, is_capped)
    select t.asset_id, t.signal_group, t.organization_id, '{}', false from unnest(${assetIds}, ${groups}, ${plainArray(
      'uuid',
      keys.map((key) => key.organizationId),
    )}) as t(asset_id, signal_group, organization_id)
    where not exists (select from latest l where l.asset_id = t.asset_id and l.signal_group = t.signal_group)
    order by t.asset_id, t.signal_group
    on conflict do nothing`.execute(trx);
  const { rows } = await sql<{ assetId: string; signalGroup: string } & StoredLatest>`
    select l.asset_id as "assetId", l.signal_group as "signalGroup", l.metrics, l.is_capped as "isCapped"
    from unnest(${assetIds}, ${groups}) as t(asset_id, signal_group)
    join latest l on l.asset_id = t.asset_id and l.signal_group = t.signal_group
    order by l.asset_id, l.signal_group for update of l`.execute(trx);
  return new Map(rows.map((row) => [latestKey(row), row]));
}

export async function writeLatest(
  trx: Kysely<Schema>,
  rows: readonly (LatestKey & { readonly metricsJson: string; readonly isCapped: boolean })[],
): Promise<void> {
  if (rows.length === 0) return;
  const metrics = toTextBlock(rows.map((row) => row.metricsJson));
  const ids = (read: (row: LatestKey) => string) => plainArray('uuid', rows.map(read));
  await sql`
    update latest l set organization_id = t.organization_id, is_capped = t.is_capped,
      metrics = convert_from(substring(${metrics.bytes}::bytea from t.start for t.length), 'UTF8')::json
    from unnest(
      ${ids((row) => row.assetId)}, ${rows.map((row) => row.signalGroup)}::text[], ${ids((row) => row.organizationId)},
      ${rows.map((row) => row.isCapped)}::boolean[], ${plainArray('integer', metrics.offsets)},
      ${plainArray('integer', metrics.lengths)}
    ) as t(asset_id, signal_group, organization_id, is_capped, start, length)
    where l.asset_id = t.asset_id and l.signal_group = t.signal_group`.execute(trx);
}

/** Locks the asset's rows first, so that whoever writes them waits. */
export async function deleteLatest(trx: Kysely<Schema>, assetId: string): Promise<void> {
  await sql`select from latest where asset_id = ${assetId} order by signal_group for update`.execute(trx);
  await trx.deleteFrom('latest').where('asset_id', '=', assetId).execute();
}

/** What the records of an asset say, in the order of their positions. */
export async function readReadings(
  trx: Kysely<Schema>,
  assetId: string,
  afterPosition: number,
  take: number,
): Promise<(StoredReading & { readonly position: number })[]> {
  const { rows } = await sql<StoredReading & { position: string }>`
    select id, asset_id as "assetId", device_id as "deviceId", position, signals, states,
      (extract(epoch from observed_at) * 1000)::float8 as "observedAtMs",
      (extract(epoch from received_at) * 1000)::float8 as "receivedAtMs"
    from record where asset_id = ${assetId} and position > ${afterPosition} order by position limit ${take}`.execute(
    trx,
  );
  return rows.map((row) => ({ ...row, states: row.states ?? undefined, position: Number(row.position) }));
}

export interface StoredReading {
  readonly id: string;
  readonly assetId: string;
  readonly deviceId: string | null;
  readonly observedAtMs: number;
  readonly receivedAtMs: number;
  readonly signals: Signals;
  readonly states: States | undefined;
}
