import { type Kysely, sql } from 'kysely';
import type { Schema } from '../database/schema.ts';

/** The SQL of keys and the products they send. */
export interface KeyWithoutProduct {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  /** The slug of whose it is. */
  readonly organization: string;
  readonly product: string;
}

/** Keys of every organization that are good at `at`, and whose product is none of `installed`. */
export async function listKeysWithoutProduct(
  db: Kysely<Schema>,
  installed: readonly string[],
  at: Date,
): Promise<KeyWithoutProduct[]> {
  const { rows } = await sql<KeyWithoutProduct>`
    select k.id, k.name, s.prefix, o.slug as organization, p.product
      from api_key k
      join organization o on o.id = k.organization_id
      join api_key_secret s on s.key_id = k.id and s.generation = k.generation
      cross join lateral (
        select substr(scope, length('product:') + 1) as product from unnest(k.scopes) scope where scope like 'product:%') p
     where k.revoked_at is null and (k.expires_at is null or k.expires_at > ${at})
       and p.product <> all (${[...installed]}::text[])
     order by p.product, o.slug, k.id`.execute(db);
  return rows;
}
