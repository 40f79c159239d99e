import { type Kysely, sql } from 'kysely';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import type { NewRecord } from './append.ts';

export interface RecordRow extends NewRecord {
  readonly id: string;
  readonly signalGroups: number;
  readonly signalsJson: string;
  readonly statesJson: string | null;
}

/**
 * Raises the sequencer and inserts in one statement: the row lock is held from here to the commit, so positions become
 * visible in order. A record that is already there leaves its position unused. Columns travel as arrays (one
 * parameter each), signals as one block of bytes with offsets, which spares escaping JSON inside an array literal.
 * Gives the ids of the records that were not there before.
 */
export async function insertRecords(
  trx: Kysely<Schema>,
  rows: readonly RecordRow[],
  processedAtMs: number,
): Promise<Set<string>> {
  const signals = toBlock(rows.map((row) => row.signalsJson));
  const ids = (read: (row: RecordRow) => string | null) => plainArray('uuid', rows.map(read));
  const numbers = (read: (row: RecordRow) => number) => plainArray('integer', rows.map(read));
  const texts = (read: (row: RecordRow) => string | null) => sql`${rows.map(read)}::text[]`;
  const instants = (read: (row: RecordRow) => number | null) =>
    plainArray(
      'timestamptz',
      rows.map((row) => {
        const atMs = read(row);
        return atMs === null ? null : new Date(atMs);
      }),
    );
  const inserted = await sql<{ id: string }>`
    with sequencer as (
      update telemetry_position set value = value + ${rows.length} returning value - ${rows.length} as base
    )
    insert into record (id, asset_id, observed_at, organization_id, fleet_id, asset_kind, device_id, device_at, received_at,
      processed_at, product, mapping_version, receipt_id, position, signal_groups, signals, states)
    select t.id, t.asset_id, t.observed_at, t.organization_id, t.fleet_id, t.asset_kind, t.device_id, t.device_at,
      t.received_at, ${new Date(processedAtMs)}::timestamptz, t.product, t.mapping_version, t.receipt_id, s.base + t.n,
      t.signal_groups, convert_from(substring(${signals.bytes}::bytea from t.start for t.length), 'UTF8')::json, t.states::json
    from sequencer s, unnest(
      ${ids((row) => row.id)}, ${ids((row) => row.assetId)}, ${instants((row) => row.observedAtMs)},
      ${ids((row) => row.organizationId)}, ${ids((row) => row.fleetId)}, ${texts((row) => row.assetKind)},
      ${ids((row) => row.deviceId)}, ${instants((row) => row.deviceAtMs)}, ${instants((row) => row.receivedAtMs)},
      ${texts((row) => row.product)}, ${numbers((row) => row.mappingVersion)}, ${ids((row) => row.receiptId)},
      ${numbers((row) => row.signalGroups)}, ${plainArray('integer', signals.offsets)},
      ${plainArray('integer', signals.lengths)}, ${texts((row) => row.statesJson)}
    ) with ordinality as t(id, asset_id, observed_at, organization_id, fleet_id, asset_kind, device_id, device_at, received_at,
      product, mapping_version, receipt_id, signal_groups, start, length, states, n)
    on conflict do nothing returning id`.execute(trx);
  return new Set(inserted.rows.map((row) => row.id));
}

/**
 * Many texts as one parameter, each found again by `substring(bytes from offset for length)`: in an array literal every
 * quote of the JSON would be escaped here and read back there, which costs more than all the rest of the statement.
 */
function toBlock(texts: readonly string[]): { bytes: Buffer; offsets: number[]; lengths: number[] } {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  let end = 1;
  const offsets = lengths.map((length) => (end += length) - length);
  return { bytes: Buffer.from(texts.join('')), offsets, lengths };
}

/**
 * The latest values of these assets (id -> organization), locked in a fixed order so that two writers never wait for
 * each other. Missing rows are made before any is locked: a writer that held one and then made another could meet a
 * writer that already sees both.
 */
export async function lockLatest(
  trx: Kysely<Schema>,
  organizations: ReadonlyMap<string, string>,
): Promise<Map<string, unknown>> {
  const assetIds = [...organizations.keys()];
  await sql`
    insert into latest (asset_id, organization_id, metrics)
    select t.asset_id, t.organization_id, '{}' from unnest(
      ${assetIds}::uuid[], ${[...organizations.values()]}::uuid[]) as t(asset_id, organization_id)
    where not exists (select from latest l where l.asset_id = t.asset_id)
    order by t.asset_id
    on conflict do nothing`.execute(trx);
  const { rows } = await sql<{ asset_id: string; metrics: unknown }>`
    select asset_id, metrics from latest where asset_id = any(${assetIds}::uuid[]) order by asset_id for update`.execute(
    trx,
  );
  return new Map(rows.map((row) => [row.asset_id, row.metrics]));
}

export async function writeLatest(
  trx: Kysely<Schema>,
  latest: readonly { assetId: string; organizationId: string; metricsJson: string }[],
): Promise<void> {
  if (latest.length === 0) return;
  const metrics = toBlock(latest.map((row) => row.metricsJson));
  await sql`
    insert into latest (asset_id, organization_id, metrics)
    select t.asset_id, t.organization_id, convert_from(substring(${metrics.bytes}::bytea from t.start for t.length), 'UTF8')::json
    from unnest(
      ${plainArray(
        'uuid',
        latest.map((row) => row.assetId),
      )}, ${plainArray(
        'uuid',
        latest.map((row) => row.organizationId),
      )}, ${plainArray('integer', metrics.offsets)}, ${plainArray('integer', metrics.lengths)}) as t(asset_id, organization_id, start, length)
    order by t.asset_id
    on conflict (asset_id) do update set metrics = excluded.metrics, organization_id = excluded.organization_id`.execute(
    trx,
  );
}
