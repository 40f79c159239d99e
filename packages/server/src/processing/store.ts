import { uuidTimeMs } from '@gladhand/base/ids.ts';
import type { ReceiptBody } from '@gladhand/contract/intake.ts';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { ofOrganization } from '../database/of-organization.ts';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import type { Arrival, ArrivalKey } from './arrivals.ts';
import type { LeafPaths } from './leaf-paths.ts';

const DAY_MS = 86_400_000;

export interface ReceiptRow {
  readonly envelope: Envelope;
  readonly status: ReceiptStatus;
  readonly mappingVersion: number | null;
  readonly recordIds: readonly string[];
  readonly skipped: number;
  readonly rejectsTotal: number;
  readonly rejectsJson: string;
  /** How many leaves were taken, skipped, left out, rejected and not used; null when the mapping was not run. */
  readonly leaves: readonly number[] | null;
  readonly leafPathsId: string | null;
  readonly repeats: string | null;
  readonly unclaimed: readonly string[];
}

/** Of an envelope that is queued no more. */
export type ReceiptStatus = Exclude<ReceiptBody['status'], 'queued'>;

/** Writes what became of envelopes; an envelope that was mapped before gets its receipt renewed. */
export async function writeReceipts(
  trx: Kysely<Schema>,
  receipts: readonly ReceiptRow[],
  processedAt: Date,
): Promise<void> {
  const list = (items: readonly string[]) => `{${items.join(',')}}`;
  const ids = (read: (receipt: ReceiptRow) => string) => plainArray('uuid', receipts.map(read));
  const received = plainArray(
    'timestamptz',
    receipts.map(({ envelope }) => new Date(envelope.receivedAtMs)),
  );
  await sql`
    insert into receipt (envelope_id, received_at, organization_id, partner_id, product, status, mapping_version, processed_at,
      record_ids, skipped, rejects_total, rejects, leaves, leaf_paths_id, repeats, unclaimed)
    select t.envelope_id, t.received_at, t.organization_id, t.partner_id, t.product, t.status, t.mapping_version, ${processedAt}::timestamptz,
      t.record_ids::uuid[], t.skipped, t.rejects_total, t.rejects::json, t.leaves::integer[], t.leaf_paths_id, t.repeats, t.unclaimed::text[]
    from unnest(
      ${ids(({ envelope }) => envelope.id)}, ${received},
      ${ids(({ envelope }) => envelope.organizationId)}, ${receipts.map(({ envelope }) => envelope.partnerId)}::text[],
      ${receipts.map(({ envelope }) => envelope.product)}::text[], ${receipts.map(({ status }) => status)}::text[],
      ${receipts.map(({ mappingVersion }) => mappingVersion)}::integer[], ${receipts.map(({ recordIds }) => list(recordIds))}::text[],
      ${receipts.map(({ skipped }) => skipped)}::integer[], ${receipts.map(({ rejectsTotal }) => rejectsTotal)}::integer[],
      ${receipts.map(({ rejectsJson }) => rejectsJson)}::text[],
      ${receipts.map(({ leaves }) => leaves && `{${leaves.join(',')}}`)}::text[],
      ${plainArray(
        'uuid',
        receipts.map(({ leafPathsId }) => leafPathsId),
      )}, ${plainArray(
        'uuid',
        receipts.map(({ repeats }) => repeats),
      )}, ${receipts.map(({ unclaimed }) => list(unclaimed))}::text[]
    ) as t(envelope_id, received_at, organization_id, partner_id, product, status, mapping_version, record_ids, skipped,
      rejects_total, rejects, leaves, leaf_paths_id, repeats, unclaimed)
    on conflict (received_at, envelope_id) do update set status = excluded.status, mapping_version = excluded.mapping_version,
      processed_at = excluded.processed_at, record_ids = excluded.record_ids, skipped = excluded.skipped,
      rejects_total = excluded.rejects_total, rejects = excluded.rejects, leaves = excluded.leaves,
      leaf_paths_id = excluded.leaf_paths_id, repeats = excluded.repeats, unclaimed = excluded.unclaimed`.execute(trx);
}

/** Keeps the paths that receipts point to, each set once for each organization. */
export async function writeLeafPaths(
  trx: Kysely<Schema>,
  paths: readonly (LeafPaths & { organizationId: string })[],
  seenOn: string,
): Promise<void> {
  if (paths.length === 0) return;
  const rows = paths.map(
    ({ organizationId, id, leftOut, unused }) =>
      sql`(${organizationId}::uuid, ${id}::uuid, ${[...leftOut]}::text[], ${[...unused]}::text[], ${seenOn}::date)`,
  );
  await sql`
    insert into leaf_paths (organization_id, id, left_out, unused, seen_on) values ${sql.join(rows)}
    on conflict (organization_id, id) do update set seen_on = excluded.seen_on
      where leaf_paths.seen_on < excluded.seen_on`.execute(trx);
}

/** Drops paths that no receipt points to any more; a day is left for receipts of the day itself. */
export async function forgetLeafPaths(database: Database, nowMs: number, receiptRetentionDays: number): Promise<void> {
  const before = new Date(nowMs - (receiptRetentionDays + 1) * DAY_MS).toISOString().slice(0, 10);
  await database.system.deleteFrom('leaf_paths').where('seen_on', '<', before).execute();
}

/** When these bytes came first, for those that came before. */
export async function selectArrivals(trx: Kysely<Schema>, keys: readonly ArrivalKey[]): Promise<Arrival[]> {
  const { rows } = await sql<{
    key_id: string;
    asset_name: string;
    digest: Buffer;
    received_at: Date;
    envelope_id: string;
  }>`
    select a.* from arrival a join unnest(
      ${keys.map(({ keyId }) => keyId)}::uuid[], ${keys.map(({ assetName }) => assetName)}::text[],
      ${keys.map(({ digest }) => digest)}::bytea[]) as t(key_id, asset_name, digest) using (key_id, asset_name, digest)`.execute(
    trx,
  );
  return rows.map((row) => ({
    keyId: row.key_id,
    assetName: row.asset_name,
    digest: row.digest,
    envelopeId: row.envelope_id,
    receivedAtMs: row.received_at.getTime(),
  }));
}

/** Of envelopes that were mapped before, which earlier one each repeats. */
export async function selectRepeats(trx: Kysely<Schema>, arrivals: readonly Arrival[]): Promise<Map<string, string>> {
  const rows = await trx
    .selectFrom('receipt')
    .select(['envelope_id', 'repeats'])
    .where(
      'received_at',
      'in',
      arrivals.map(({ receivedAtMs }) => new Date(receivedAtMs)),
    )
    .where(
      'envelope_id',
      'in',
      arrivals.map(({ envelopeId }) => envelopeId),
    )
    .where('repeats', 'is not', null)
    .execute();
  return new Map(rows.map((row) => [row.envelope_id, row.repeats!]));
}

export async function writeArrivals(trx: Kysely<Schema>, arrivals: readonly Arrival[]): Promise<void> {
  if (arrivals.length === 0) return;
  await trx
    .insertInto('arrival')
    .values(
      arrivals.map(({ keyId, assetName, digest, envelopeId, receivedAtMs }) => ({
        key_id: keyId,
        asset_name: assetName,
        digest,
        envelope_id: envelopeId,
        received_at: new Date(receivedAtMs),
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['key_id', 'asset_name', 'digest']).doUpdateSet({
        received_at: (eb) => eb.ref('excluded.received_at'),
        envelope_id: (eb) => eb.ref('excluded.envelope_id'),
      }),
    )
    .execute();
}

/** Drops arrivals that no retry refers to any more: mapping may be behind, but not by a day. */
export async function forgetArrivals(database: Database, nowMs: number): Promise<void> {
  await database.system
    .deleteFrom('arrival')
    .where('received_at', '<', new Date(nowMs - DAY_MS))
    .execute();
}

/** Which of these organizations run the installation: their partners may send for every organization's assets. */
export async function selectOperators(trx: Kysely<Schema>, organizationIds: readonly string[]): Promise<Set<string>> {
  const rows = await trx
    .selectFrom('organization')
    .select('id')
    .where('id', 'in', [...organizationIds])
    .where('kind', '=', 'operator')
    .execute();
  return new Set(rows.map((row) => row.id));
}

export interface FoundReceipt {
  readonly id: string;
  readonly receivedAt: Date;
  readonly product: string;
  readonly vin: string | null;
  readonly plantId: string | null;
  readonly status: ReceiptStatus | null;
  readonly mappingVersion: number | null;
  readonly processedAt: Date | null;
  readonly recordIds: string[] | null;
  readonly skipped: number | null;
  readonly rejectsTotal: number | null;
  readonly rejects: unknown;
  /** As in `ReceiptRow`. */
  readonly leaves: number[] | null;
  readonly leftOutPaths: string[] | null;
  readonly unusedPaths: string[] | null;
  readonly repeats: string | null;
  readonly unclaimed: string[] | null;
}

/** The envelope's day is in its id, so one partition is read. */
export async function findReceipt(
  database: Database,
  of: { organizationId: string; partnerId: string },
  receiptId: string,
): Promise<FoundReceipt | undefined> {
  const find = (own: Kysely<Schema>) =>
    own
      .selectFrom('envelope as e')
      .leftJoin('receipt as r', (join) =>
        join.onRef('r.received_at', '=', 'e.received_at').onRef('r.envelope_id', '=', 'e.id'),
      )
      .leftJoin('leaf_paths as p', (join) =>
        join.onRef('p.organization_id', '=', 'r.organization_id').onRef('p.id', '=', 'r.leaf_paths_id'),
      )
      .select(['e.id', 'e.received_at as receivedAt', 'e.product', 'e.vin', 'e.plant_id as plantId', 'r.status'])
      .select(['r.mapping_version as mappingVersion', 'r.processed_at as processedAt', 'r.record_ids as recordIds'])
      .select(['r.skipped', 'r.rejects_total as rejectsTotal', 'r.rejects', 'r.unclaimed', 'r.leaves', 'r.repeats'])
      .select(['p.left_out as leftOutPaths', 'p.unused as unusedPaths'])
      .where('e.received_at', '=', new Date(uuidTimeMs(receiptId)))
      .where('e.id', '=', receiptId)
      .where(ofOrganization('e.organization_id', of.organizationId))
      .where('e.partner_id', '=', of.partnerId)
      .executeTakeFirst();
  return database.within(of.organizationId, find, 'read');
}
