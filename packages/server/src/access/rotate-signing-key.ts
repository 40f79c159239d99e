import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import { findOperatorId } from '../organizations/operator.ts';
import { SYSTEM_ORIGIN } from './principal.ts';
import { insertSigningKey, readSigningKeys } from './signing-key-store.ts';

/** Twice as long as a JWK set may be cached (300 s), so that nobody meets a token whose key they have not seen. */
const PUBLISHED_BEFORE_USE_MS = 600_000;
/** A minute more than the longest a token lives. */
const RETIRED_AFTER_TOKENS_MS = 60_000;
const TOKEN_LIFE_MS_MIN = 1_800_000;

export interface RotatedSigningKey {
  readonly number: number;
  readonly activatesAt: Date;
  readonly previousRetireAt: Date;
}

/**
 * The next token signing key: published at once, signing ten minutes later. The one before verifies for a minute more than
 * tokens live, counted as half an hour at least, because the configured life may have been longer before.
 */
export async function rotateSigningKey(
  database: Database,
  nowMs: number,
  tokenTtlSeconds: number,
): Promise<RotatedSigningKey> {
  const activatesAt = new Date(nowMs + PUBLISHED_BEFORE_USE_MS);
  const lifeMs = Math.max(TOKEN_LIFE_MS_MIN, tokenTtlSeconds * 1000);
  const previousRetireAt = new Date(activatesAt.getTime() + lifeMs + RETIRED_AFTER_TOKENS_MS);
  // On an installation that was never started, the first key is made here, so that there is one before the next.
  await readSigningKeys(database, new Date(nowMs));
  const number = await database.system.transaction().execute(async (trx) => {
    const inserted = await insertSigningKey(trx, activatesAt, previousRetireAt);
    const organizationId = await findOperatorId(trx);
    // An installation without organizations has no audit log yet.
    if (organizationId !== undefined) {
      const details = { number: inserted, activatesAt, previousRetireAt };
      const target = { kind: 'token-signing-key', id: String(inserted) };
      await recordAudit(trx, {
        ...SYSTEM_ORIGIN,
        organizationId,
        action: 'token-signing-key.rotated',
        target,
        details,
        at: new Date(nowMs),
      });
    }
    return inserted;
  });
  return { number, activatesAt, previousRetireAt };
}
