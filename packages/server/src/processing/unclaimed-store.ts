import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import type { Envelope } from '../intake-log/intake-log.ts';

/** The SQL of envelopes that wait for a registration, and of registrations that may have ended a wait. */
const DAY_MS = 86_400_000;

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

export interface NewClaim {
  readonly assetId: string;
  readonly assetName: string;
  readonly organizationId: string;
}

export async function selectNewClaims(database: Database, claimsMax: number): Promise<NewClaim[]> {
  return database.system
    .selectFrom('new_claim')
    .select(['asset_id as assetId', 'asset_name as assetName', 'organization_id as organizationId'])
    .limit(claimsMax)
    .execute();
}

export async function deleteNewClaims(database: Database, claims: readonly NewClaim[]): Promise<void> {
  const ids = plainArray(
    'uuid',
    claims.map(({ assetId }) => assetId),
  );
  await sql`delete from new_claim where asset_id = any(${ids})`.execute(database.system);
}

export interface Waiting {
  readonly assetName: string;
  readonly id: string;
  readonly receivedAtMs: number;
}

/**
 * Envelopes that wait for the names of these claims, oldest first, by the key of `unclaimed`. A customer's key waits for
 * its own organization only, an operator's for all.
 */
export async function selectWaiting(
  database: Database,
  claims: readonly NewClaim[],
  envelopesMax: number,
): Promise<Waiting[]> {
  const { rows } = await sql<{ asset_name: string; envelope_id: string; received_at: Date }>`
    select u.asset_name, u.envelope_id, u.received_at
    from unnest(${claims.map(({ assetName }) => assetName)}::text[], ${plainArray(
      'uuid',
      claims.map(({ organizationId }) => organizationId),
    )}) as c(asset_name, organization_id)
    join unclaimed u on u.asset_name = c.asset_name
    join organization o on o.id = u.organization_id
    where o.kind = 'operator' or u.organization_id = c.organization_id
    order by u.received_at, u.envelope_id limit ${envelopesMax}`.execute(database.system);
  return rows.map((row) => ({
    assetName: row.asset_name,
    id: row.envelope_id,
    receivedAtMs: row.received_at.getTime(),
  }));
}

export async function deleteWaiting(database: Database, waiting: readonly Waiting[]): Promise<void> {
  await sql`
    delete from unclaimed u using unnest(${waiting.map(({ assetName }) => assetName)}::text[], ${plainArray(
      'timestamptz',
      waiting.map(({ receivedAtMs }) => new Date(receivedAtMs)),
    )}, ${plainArray(
      'uuid',
      waiting.map(({ id }) => id),
    )}) as t(asset_name, received_at, envelope_id)
    where u.asset_name = t.asset_name and u.received_at = t.received_at and u.envelope_id = t.envelope_id`.execute(
    database.system,
  );
}

/** Drops what waits for a registration longer than envelopes are kept. */
export async function forgetUnclaimed(database: Database, nowMs: number, envelopeRetentionDays: number): Promise<void> {
  const before = new Date(nowMs - envelopeRetentionDays * DAY_MS);
  await database.system.deleteFrom('unclaimed').where('received_at', '<', before).execute();
}
