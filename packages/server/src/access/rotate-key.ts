import { Fault } from '@gladhand/base/fault.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import { createSecret, deriveSigningKey, type KeyParts } from './issue-key.ts';
import { insertGeneration, lockKey } from './key-store.ts';
import type { Principal } from './principal.ts';

export interface Rotation {
  /** How long the old generation stays good beside the new one; 0: it dies with this answer, and its tokens with it. */
  readonly overlapSeconds: number;
  readonly address: string;
  readonly requestId: string;
}

export interface RotatedKey {
  readonly key: string;
  readonly keyPrefix: string;
  readonly signingKey: string;
  readonly generation: number;
  readonly previousKeyExpiresAt: Date;
}

/**
 * Gives the caller's key its next generation. Only the current generation may: whoever holds a superseded one, such as
 * a thief whom the rotation was meant to shut out, could otherwise take the key over. Of two rotations at the same
 * time one wins and the other is told so. At most two generations are good at any time.
 */
export async function rotateKey(
  parts: KeyParts & { readonly database: Database },
  principal: Principal,
  rotation: Rotation,
): Promise<RotatedKey> {
  const { database, clock, secrets } = parts;
  const { keyId, organizationId } = principal;
  return database.within(organizationId, async (trx) => {
    const key = await lockKey(trx, keyId);
    const at = new Date(clock.nowMs());
    if (key === undefined || key.revokedAt !== null)
      throw new Fault('invalid-token', 'The API key behind this token has been revoked.');
    if (key.generation !== principal.generation) {
      throw new Fault(
        'rotation-in-progress',
        'This key has been rotated already. Use the new key; only the current one can be rotated again.',
      );
    }
    const generation = key.generation + 1;
    const { plaintext, secret } = createSecret(parts);
    const previousEndsAt = new Date(
      Math.min(at.getTime() + rotation.overlapSeconds * 1000, key.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY),
    );
    await insertGeneration(trx, { keyId, generation, at, previousEndsAt, secret });
    await recordAudit(trx, {
      organizationId,
      actor: { kind: 'key', id: keyId },
      action: 'api-key.rotated',
      target: { kind: 'api-key', id: keyId },
      address: rotation.address,
      requestId: rotation.requestId,
      details: {
        generation,
        keyPrefix: secret.prefix,
        overlapSeconds: rotation.overlapSeconds,
        previousEndsAt: previousEndsAt.toISOString(),
      },
      at,
    });
    return {
      key: plaintext,
      keyPrefix: secret.prefix,
      signingKey: deriveSigningKey(secrets, keyId, generation).toString('hex'),
      generation,
      previousKeyExpiresAt: previousEndsAt,
    };
  });
}
