import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import { createApiKey, digestApiKey, PEPPER_VERSION } from './api-key.ts';
import { insertKey, type NewSecret } from './key-store.ts';
import type { Audience } from './principal.ts';
import type { Secrets } from './secrets.ts';

export interface KeyParts {
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface KeyOrder {
  readonly organizationId: string;
  readonly audience: Audience;
  readonly partnerId: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** Networks as `readNetwork` gives them; default: any address. */
  readonly allowedIps?: readonly string[];
  /** Default, and null: every plant of the organization. */
  readonly allowedPlantIds?: readonly string[] | null;
  readonly expiresAt?: Date | null;
  readonly requireSignature?: boolean;
  readonly createdBy: string | null;
}

/** What the owner of a key is told, once. */
export interface IssuedKey {
  readonly id: string;
  readonly plaintext: string;
  readonly prefix: string;
  /** 32 bytes as hex: what requests are signed with. */
  readonly signingKey: string;
}

/** Makes a key of `order` in the caller's transaction; `plaintext` is the only copy there will ever be. */
export async function issueKey(executor: Kysely<Schema>, parts: KeyParts, order: KeyOrder): Promise<IssuedKey> {
  const id = parts.ids.uuid();
  const { plaintext, secret } = createSecret(parts);
  await insertKey(executor, {
    ...order,
    id,
    allowedIps: order.allowedIps ?? [],
    allowedPlantIds: order.allowedPlantIds ?? null,
    expiresAt: order.expiresAt ?? null,
    requireSignature: order.requireSignature ?? false,
    at: new Date(parts.clock.nowMs()),
    secret,
  });
  return { id, plaintext, prefix: secret.prefix, signingKey: deriveSigningKey(parts.secrets, id, 1).toString('hex') };
}

/** A new generation's secret: the plaintext for its owner, and what is stored of it. */
export function createSecret(parts: { readonly secrets: Secrets; readonly ids: Ids }): {
  plaintext: string;
  secret: NewSecret;
} {
  const key = createApiKey((length) => parts.ids.randomBytes(length));
  const pepper = parts.secrets.derive(`api-key-pepper/${PEPPER_VERSION}`);
  return {
    plaintext: key.plaintext,
    secret: {
      publicId: key.publicId,
      prefix: key.prefix,
      digest: digestApiKey(pepper, key.plaintext),
      pepperVersion: PEPPER_VERSION,
    },
  };
}

/** The 32 bytes that requests of this generation are signed with. Derived whenever they are needed, stored nowhere. */
export function deriveSigningKey(secrets: Secrets, keyId: string, generation: number): Buffer {
  return secrets.derive(`request-signing/${keyId}/${generation}`);
}
