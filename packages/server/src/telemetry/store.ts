import { type Kysely, sql } from 'kysely';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import { toTextBlock } from '../database/text-block.ts';
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
  const signals = toTextBlock(rows.map((row) => row.signalsJson));
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
