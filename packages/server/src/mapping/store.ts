import { type Kysely, sql } from 'kysely';
import { uuidTimeMs } from '../base/ids.ts';
import type { Database } from '../database/database.ts';
import { ofOrganization } from '../database/first-wall.ts';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import type { Envelope } from '../intake-log/intake-log.ts';

export interface ReceiptRow {
  readonly envelope: Envelope;
  readonly status: 'processed' | 'partly-rejected' | 'rejected' | 'unclaimed';
  readonly mappingVersion: number | null;
  readonly recordIds: readonly string[];
  readonly skipped: number;
  readonly rejectsJson: string;
  readonly unclaimed: readonly string[];
}

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
      record_ids, skipped, rejects, unclaimed)
    select t.envelope_id, t.received_at, t.organization_id, t.partner_id, t.product, t.status, t.mapping_version, ${processedAt}::timestamptz,
      t.record_ids::uuid[], t.skipped, t.rejects::json, t.unclaimed::text[]
    from unnest(
      ${ids(({ envelope }) => envelope.id)}, ${received},
      ${ids(({ envelope }) => envelope.organizationId)}, ${receipts.map(({ envelope }) => envelope.partnerId)}::text[],
      ${receipts.map(({ envelope }) => envelope.product)}::text[], ${receipts.map(({ status }) => status)}::text[],
      ${receipts.map(({ mappingVersion }) => mappingVersion)}::integer[], ${receipts.map(({ recordIds }) => list(recordIds))}::text[],
      ${receipts.map(({ skipped }) => skipped)}::integer[], ${receipts.map(({ rejectsJson }) => rejectsJson)}::text[],
      ${receipts.map(({ unclaimed }) => list(unclaimed))}::text[]
    ) as t(envelope_id, received_at, organization_id, partner_id, product, status, mapping_version, record_ids, skipped, rejects, unclaimed)
    on conflict (received_at, envelope_id) do update set status = excluded.status, mapping_version = excluded.mapping_version,
      processed_at = excluded.processed_at, record_ids = excluded.record_ids, skipped = excluded.skipped,
      rejects = excluded.rejects, unclaimed = excluded.unclaimed`.execute(trx);
}

/** Remembers under each unregistered name which envelopes wait for it. */
export async function writeUnclaimed(
  trx: Kysely<Schema>,
  waits: readonly { name: string; envelope: Envelope }[],
): Promise<void> {
  if (waits.length === 0) return;
  await trx
    .insertInto('unclaimed')
    .values(
      waits.map(({ name, envelope }) => ({
        asset_name: name,
        envelope_id: envelope.id,
        received_at: new Date(envelope.receivedAtMs),
        organization_id: envelope.organizationId,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/**
 * Takes out envelopes whose asset has been registered since, oldest first. A customer's key claims for its own
 * organization only, an operator's for all.
 */
export async function takeClaimed(
  trx: Kysely<Schema>,
  envelopesMax: number,
): Promise<{ id: string; receivedAtMs: number }[]> {
  const { rows } = await sql<{ envelope_id: string; received_at: Date }>`
    with claimed as (
      select u.asset_name, u.received_at, u.envelope_id
      from unclaimed u
      join organization o on o.id = u.organization_id
      join asset a on (a.vin = u.asset_name or a.id = case when u.asset_name like '%-%' then u.asset_name::uuid end)
        and (o.kind = 'operator' or a.organization_id = u.organization_id)
      order by u.received_at, u.envelope_id limit ${envelopesMax}
      for update of u skip locked
    )
    delete from unclaimed u using claimed c
    where u.asset_name = c.asset_name and u.received_at = c.received_at and u.envelope_id = c.envelope_id
    returning u.envelope_id, u.received_at`.execute(trx);
  const envelopes = new Map(rows.map((row) => [row.envelope_id, row.received_at.getTime()]));
  return [...envelopes]
    .map(([id, receivedAtMs]) => ({ id, receivedAtMs }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
}

export async function hasUnclaimed(database: Database): Promise<boolean> {
  return (
    (await database.system.selectFrom('unclaimed').select('envelope_id').limit(1).executeTakeFirst()) !== undefined
  );
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
  readonly status: 'processed' | 'partly-rejected' | 'rejected' | 'unclaimed' | null;
  readonly mappingVersion: number | null;
  readonly processedAt: Date | null;
  readonly recordIds: string[] | null;
  readonly skipped: number | null;
  readonly rejects: unknown;
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
      .select(['e.id', 'e.received_at as receivedAt', 'e.product', 'e.vin', 'e.plant_id as plantId', 'r.status'])
      .select(['r.mapping_version as mappingVersion', 'r.processed_at as processedAt', 'r.record_ids as recordIds'])
      .select(['r.skipped', 'r.rejects', 'r.unclaimed'])
      .where('e.received_at', '=', new Date(uuidTimeMs(receiptId)))
      .where('e.id', '=', receiptId)
      .where(ofOrganization('e.organization_id', of.organizationId))
      .where('e.partner_id', '=', of.partnerId)
      .executeTakeFirst();
  return database.within(of.organizationId, find, 'read');
}
