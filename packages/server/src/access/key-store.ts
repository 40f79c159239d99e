import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { ofOrganization } from '../database/of-organization.ts';
import type { Schema } from '../database/schema.ts';
import type { Audience } from './principal.ts';

/** Every change of API keys and their generations. */
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

export async function endKey(db: Kysely<Schema>, organizationId: string, id: string, at: Date): Promise<void> {
  await db
    .updateTable('api_key')
    .set({ revoked_at: at, updated_at: at })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .execute();
}

export interface KeyChange {
  readonly name?: string | undefined;
  readonly allowedIps?: readonly string[] | undefined;
  readonly allowedPlantIds?: readonly string[] | null | undefined;
  readonly expiresAt?: Date | null | undefined;
  readonly requireSignature?: boolean | undefined;
}

export async function updateKey(
  db: Kysely<Schema>,
  organizationId: string,
  id: string,
  change: KeyChange,
  at: Date,
): Promise<void> {
  await db
    .updateTable('api_key')
    .set({
      ...(change.name !== undefined && { name: change.name }),
      ...(change.allowedIps !== undefined && { allowed_ips: sql<string[]>`${[...change.allowedIps]}::cidr[]` }),
      ...(change.allowedPlantIds !== undefined && {
        allowed_plant_ids: change.allowedPlantIds && [...change.allowedPlantIds],
      }),
      ...(change.expiresAt !== undefined && { expires_at: change.expiresAt }),
      ...(change.requireSignature !== undefined && { require_signature: change.requireSignature }),
      updated_at: at,
    })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .execute();
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
