import { createNetworks } from '@gladhand/base/network.ts';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import type { KeyRow } from './key-state.ts';
import type { Audience } from './principal.ts';

export interface SecretRow {
  readonly keyId: string;
  readonly generation: number;
  readonly digest: Buffer;
}

export async function findKey(database: Database, keyId: string): Promise<KeyRow | undefined> {
  const key = await database.system
    .selectFrom('api_key as k')
    .innerJoin('organization as o', 'o.id', 'k.organization_id')
    .innerJoin('api_key_secret as now', (join) =>
      join.onRef('now.key_id', '=', 'k.id').onRef('now.generation', '=', 'k.generation'),
    )
    .leftJoin('api_key_secret as before', (join) =>
      join.onRef('before.key_id', '=', 'k.id').on('before.generation', '=', sql<number>`k.generation - 1`),
    )
    .select(['k.id', 'k.organization_id', 'o.kind', 'k.audience', 'k.partner_id', 'k.scopes', 'k.allowed_plant_ids'])
    .select(['k.allowed_ips', 'k.require_signature', 'k.generation', 'k.expires_at', 'k.revoked_at'])
    .select(['now.created_at as generation_at', 'now.public_id'])
    .select(['before.expires_at as previous_ends_at', 'before.public_id as previous_public_id'])
    .where('k.id', '=', keyId)
    .executeTakeFirst();
  return (
    key && {
      id: key.id,
      organizationId: key.organization_id,
      organizationKind: key.kind,
      audience: key.audience,
      partnerId: key.partner_id,
      scopes: key.scopes,
      plantIds: key.allowed_plant_ids,
      networks: key.allowed_ips.length === 0 ? null : createNetworks(key.allowed_ips),
      requireSignature: key.require_signature,
      expiresAt: key.expires_at,
      revokedAt: key.revoked_at,
      generation: key.generation,
      publicId: key.public_id,
      previous: key.previous_ends_at && {
        generation: key.generation - 1,
        publicId: key.previous_public_id!,
        supersededAt: key.generation_at,
        endsAt: key.previous_ends_at,
      },
    }
  );
}

export async function findSecret(database: Database, publicId: string): Promise<SecretRow | undefined> {
  const row = await database.system
    .selectFrom('api_key_secret')
    .select(['key_id', 'generation', 'digest'])
    .where('public_id', '=', publicId)
    .executeTakeFirst();
  return row && { keyId: row.key_id, generation: row.generation, digest: row.digest };
}

export interface UseRow {
  readonly keyId: string;
  readonly generation: number;
  readonly at: Date;
  readonly address: string | null;
}

/** Another node may have written a later use; the latest stays. */
export async function markUsed(database: Database, uses: readonly UseRow[]): Promise<void> {
  await sql`
    update api_key_secret s set last_used_at = u.at, last_used_address = u.address
      from unnest(${uses.map((use) => use.keyId)}::uuid[], ${uses.map((use) => use.generation)}::integer[],
                  ${uses.map((use) => use.at)}::timestamptz[], ${uses.map((use) => use.address)}::inet[]) as u (key_id, generation, at, address)
     where s.key_id = u.key_id and s.generation = u.generation and (s.last_used_at is null or s.last_used_at < u.at)`.execute(
    database.system,
  );
}

export interface NewKey {
  readonly id: string;
  readonly organizationId: string;
  readonly audience: Audience;
  readonly partnerId: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly allowedIps: readonly string[];
  readonly allowedPlantIds: readonly string[] | null;
  readonly expiresAt: Date | null;
  readonly requireSignature: boolean;
  readonly createdBy: string | null;
  readonly at: Date;
  readonly secret: NewSecret;
}

export interface NewSecret {
  readonly publicId: string;
  readonly prefix: string;
  readonly digest: Buffer;
  readonly pepperVersion: number;
}

/** A key and its first generation, in the caller's transaction. */
export async function insertKey(executor: Kysely<Schema>, key: NewKey): Promise<void> {
  await executor
    .insertInto('api_key')
    .values({
      id: key.id,
      organization_id: key.organizationId,
      audience: key.audience,
      partner_id: key.partnerId,
      name: key.name,
      scopes: [...key.scopes],
      allowed_ips: sql`${[...key.allowedIps]}::cidr[]`,
      allowed_plant_ids: key.allowedPlantIds && [...key.allowedPlantIds],
      expires_at: key.expiresAt,
      require_signature: key.requireSignature,
      created_by: key.createdBy,
      created_at: key.at,
      updated_at: key.at,
    })
    .execute();
  await insertSecret(executor, { keyId: key.id, generation: 1, at: key.at, secret: key.secret });
}

async function insertSecret(
  executor: Kysely<Schema>,
  row: { keyId: string; generation: number; at: Date; secret: NewSecret },
): Promise<void> {
  await executor
    .insertInto('api_key_secret')
    .values({
      key_id: row.keyId,
      generation: row.generation,
      public_id: row.secret.publicId,
      prefix: row.secret.prefix,
      digest: row.secret.digest,
      pepper_version: row.secret.pepperVersion,
      created_at: row.at,
    })
    .execute();
}

/** The key's row, locked until the transaction ends: rotations of one key come one after the other. */
export async function lockKey(
  trx: Kysely<Schema>,
  keyId: string,
): Promise<{ generation: number; expiresAt: Date | null; revokedAt: Date | null } | undefined> {
  const row = await trx
    .selectFrom('api_key')
    .select(['generation', 'expires_at', 'revoked_at'])
    .where('id', '=', keyId)
    .forUpdate()
    .executeTakeFirst();
  return row && { generation: row.generation, expiresAt: row.expires_at, revokedAt: row.revoked_at };
}

/** Makes `generation` the current one; the one before it ends at `previousEndsAt`, every older one at `at`. */
export async function insertGeneration(
  trx: Kysely<Schema>,
  row: { keyId: string; generation: number; at: Date; previousEndsAt: Date; secret: NewSecret },
): Promise<void> {
  const { keyId, generation, at, previousEndsAt } = row;
  await trx
    .updateTable('api_key_secret')
    .set({
      expires_at: sql<Date>`case when generation = ${generation - 1}::integer then ${previousEndsAt}::timestamptz else least(expires_at, ${at}::timestamptz) end`,
    })
    .where('key_id', '=', keyId)
    .execute();
  await insertSecret(trx, row);
  await trx.updateTable('api_key').set({ generation, updated_at: at }).where('id', '=', keyId).execute();
}

export interface SigningKeyRow {
  readonly number: number;
  readonly activatesAt: Date;
  readonly retiresAt: Date | null;
}

/** Every signing key that is not retired yet; the first one ever is made here. */
export async function readSigningKeys(database: Database, now: Date): Promise<SigningKeyRow[]> {
  const rows = await database.system.selectFrom('token_signing_key').selectAll().orderBy('number').execute();
  if (rows.length === 0) {
    await database.system
      .insertInto('token_signing_key')
      .values({ number: 1, activates_at: now, retires_at: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return readSigningKeys(database, now);
  }
  return rows
    .map((row) => ({ number: row.number, activatesAt: row.activates_at, retiresAt: row.retires_at }))
    .filter((row) => row.retiresAt === null || row.retiresAt > now);
}

/** Adds the next signing key and gives the current ones their end, in the caller's transaction. */
export async function insertSigningKey(
  trx: Kysely<Schema>,
  activatesAt: Date,
  previousRetireAt: Date,
): Promise<number> {
  await sql`lock table token_signing_key in exclusive mode`.execute(trx);
  const last = await trx
    .selectFrom('token_signing_key')
    .select((eb) => eb.fn.max('number').as('number'))
    .executeTakeFirst();
  const number = Number(last?.number ?? 0) + 1;
  await trx
    .updateTable('token_signing_key')
    .set({ retires_at: previousRetireAt })
    .where('retires_at', 'is', null)
    .execute();
  await trx.insertInto('token_signing_key').values({ number, activates_at: activatesAt, retires_at: null }).execute();
  return number;
}

/** A nonce that was used with a key, to be kept until `expiresAt`. */
export interface NonceRow {
  readonly keyId: string;
  readonly nonce: string;
  readonly expiresAt: Date;
}

/** Those of `nonces` that were not there; of concurrent callers with the same nonce one gets it. */
export async function insertNonces(
  database: Database,
  nonces: readonly NonceRow[],
): Promise<{ keyId: string; nonce: string }[]> {
  const rows = await database.system
    .insertInto('signature_nonce')
    .values(nonces.map((row) => ({ key_id: row.keyId, nonce: row.nonce, expires_at: row.expiresAt })))
    .onConflict((conflict) => conflict.doNothing())
    .returning(['key_id', 'nonce'])
    .execute();
  return rows.map((row) => ({ keyId: row.key_id, nonce: row.nonce }));
}

const NONCES_FORGOTTEN_AT_ONCE_MAX = 10_000;

/** Portion by portion, so that no statement runs long. */
export async function forgetNonces(database: Database, now: Date): Promise<void> {
  for (;;) {
    const { numAffectedRows } = await sql`
      delete from signature_nonce where ctid = any(array(
        select ctid from signature_nonce where expires_at < ${now} limit ${NONCES_FORGOTTEN_AT_ONCE_MAX}))`.execute(
      database.system,
    );
    if (Number(numAffectedRows) < NONCES_FORGOTTEN_AT_ONCE_MAX) return;
  }
}
