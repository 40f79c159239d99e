import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';

/** The SQL of versions that have mapped a payload. */
export interface FrozenVersion {
  readonly product: string;
  readonly version: number;
  readonly hash: string;
  readonly firstMappedAt: Date;
}

export async function listFrozenVersions(database: Database): Promise<FrozenVersion[]> {
  return database.system
    .selectFrom('product_version')
    .select(['product', 'version', 'content_hash as hash', 'first_mapped_at as firstMappedAt'])
    .orderBy('product')
    .orderBy('version')
    .execute();
}

/** Writes the content of a version down, unless it is known already. Returns what is known, and whether it is new. */
export async function freezeVersion(
  trx: Kysely<Schema>,
  { product, version, hash, firstMappedAt }: FrozenVersion,
): Promise<{ hash: string; isNew: boolean }> {
  const { rows } = await sql<{ hash: string; isNew: boolean }>`
    with added as (
      insert into product_version (product, version, content_hash, first_mapped_at)
      values (${product}, ${version}, ${hash}, ${firstMappedAt}) on conflict do nothing returning content_hash)
    select content_hash as hash, true as "isNew" from added
    union all
    select content_hash, false from product_version where product = ${product} and version = ${version}`.execute(trx);
  // No row: another node wrote it after this statement began, and its content has to be read anew.
  return rows[0] ?? freezeVersion(trx, { product, version, hash, firstMappedAt });
}
