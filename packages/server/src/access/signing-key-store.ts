import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';

/** The SQL of the keys that tokens are signed with. */
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
