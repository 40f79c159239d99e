import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

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
