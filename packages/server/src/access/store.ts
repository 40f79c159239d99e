import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import type { Audience } from './principal.ts';

/** What the wall has to know of a key, whatever generation of it was used. */
export interface KeyRow {
  readonly id: string;
  readonly organizationId: string;
  readonly organizationKind: 'operator' | 'customer';
  readonly audience: Audience;
  readonly partnerId: string;
  readonly scopes: readonly string[];
  readonly plantIds: readonly string[] | null;
  readonly generation: number;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  /** Generation -> the end of its overlap; null: no end. A generation that is not here is dead. */
  readonly generations: ReadonlyMap<number, Date | null>;
}

export interface SecretRow {
  readonly keyId: string;
  readonly generation: number;
  readonly digest: Buffer;
}

export async function readEpoch(database: Database): Promise<number> {
  const row = await database.kysely.selectFrom('access_epoch').select('value').executeTakeFirstOrThrow();
  return Number(row.value);
}

export async function findKey(database: Database, keyId: string): Promise<KeyRow | undefined> {
  const key = await database.kysely
    .selectFrom('api_key as k')
    .innerJoin('organization as o', 'o.id', 'k.organization_id')
    .select(['k.id', 'k.organization_id', 'o.kind', 'k.audience', 'k.partner_id', 'k.scopes', 'k.allowed_plant_ids'])
    .select(['k.generation', 'k.expires_at', 'k.revoked_at'])
    .where('k.id', '=', keyId)
    .executeTakeFirst();
  if (key === undefined) return undefined;
  const secrets = await database.kysely
    .selectFrom('api_key_secret')
    .select(['generation', 'expires_at'])
    .where('key_id', '=', keyId)
    .execute();
  return {
    id: key.id,
    organizationId: key.organization_id,
    organizationKind: key.kind,
    audience: key.audience,
    partnerId: key.partner_id,
    scopes: key.scopes,
    plantIds: key.allowed_plant_ids,
    generation: key.generation,
    expiresAt: key.expires_at,
    revokedAt: key.revoked_at,
    generations: new Map(secrets.map((secret) => [secret.generation, secret.expires_at])),
  };
}

export async function findSecret(database: Database, publicId: string): Promise<SecretRow | undefined> {
  const row = await database.kysely
    .selectFrom('api_key_secret')
    .select(['key_id', 'generation', 'digest'])
    .where('public_id', '=', publicId)
    .executeTakeFirst();
  return row && { keyId: row.key_id, generation: row.generation, digest: row.digest };
}

/** Kept to the minute: a busy key costs one write a minute. */
export async function markUsed(database: Database, secret: SecretRow, at: Date, address: string): Promise<void> {
  await sql`update api_key_secret set last_used_at = ${at}, last_used_address = ${address}::inet
    where key_id = ${secret.keyId} and generation = ${secret.generation}
      and (last_used_at is null or last_used_at < ${at}::timestamptz - interval '1 minute' or last_used_address is distinct from ${address}::inet)`.execute(
    database.kysely,
  );
}

export interface NewKey {
  readonly id: string;
  readonly organizationId: string;
  readonly audience: Audience;
  readonly partnerId: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly createdBy: string | null;
  readonly at: Date;
  readonly secret: { readonly publicId: string; readonly prefix: string; readonly digest: Buffer; readonly pepperVersion: number };
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
      created_by: key.createdBy,
      created_at: key.at,
      updated_at: key.at,
    })
    .execute();
  await executor
    .insertInto('api_key_secret')
    .values({
      key_id: key.id,
      generation: 1,
      public_id: key.secret.publicId,
      prefix: key.secret.prefix,
      digest: key.secret.digest,
      pepper_version: key.secret.pepperVersion,
      created_at: key.at,
    })
    .execute();
}

export interface SigningKeyRow {
  readonly number: number;
  readonly activatesAt: Date;
  readonly retiresAt: Date | null;
}

/** Every signing key that is not retired yet; the first one ever is made here. */
export async function readSigningKeys(database: Database, now: Date): Promise<SigningKeyRow[]> {
  const rows = await database.kysely.selectFrom('token_signing_key').selectAll().orderBy('number').execute();
  if (rows.length === 0) {
    await database.kysely
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

/** Adds the next signing key and gives the current ones their end. */
export async function insertSigningKey(database: Database, activatesAt: Date, previousRetireAt: Date): Promise<number> {
  return database.kysely.transaction().execute(async (trx) => {
    await sql`lock table token_signing_key in exclusive mode`.execute(trx);
    const last = await trx
      .selectFrom('token_signing_key')
      .select((eb) => eb.fn.max('number').as('number'))
      .executeTakeFirst();
    const number = Number(last?.number ?? 0) + 1;
    await trx.updateTable('token_signing_key').set({ retires_at: previousRetireAt }).where('retires_at', 'is', null).execute();
    await trx.insertInto('token_signing_key').values({ number, activates_at: activatesAt, retires_at: null }).execute();
    return number;
  });
}
