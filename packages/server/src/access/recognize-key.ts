import { LRUCache } from 'lru-cache';
import type { Database } from '../database/database.ts';
import type { KnownUse } from './admission.ts';
import { digestApiKey, findPublicId, isSameDigest, PEPPER_VERSION } from './api-key.ts';
import { findSecret } from './key-state-store.ts';
import type { Secrets } from './secrets.ts';

/** Tells which key and generation an API key is. That never changes, so it is remembered; the key's state is not here. */
export interface KeyRecognition {
  /** The key as it was recognized before; it costs no database. */
  recall(apiKey: string): KnownUse | undefined;
  /** Asks the database; undefined for what is no key of this installation. Mistyped ones are told without the database. */
  recognize(apiKey: string): Promise<KnownUse | undefined>;
  /** The same, and `recall` knows it from then on. */
  learn(apiKey: string): Promise<KnownUse | undefined>;
}

const KNOWN_KEYS_MAX = 20_000;
/** Compared with when there is no such key, so that this takes as long as a wrong secret. */
const NO_DIGEST = Buffer.alloc(32);

export function createKeyRecognition({ database, secrets }: { database: Database; secrets: Secrets }): KeyRecognition {
  const pepper = secrets.derive(`api-key-pepper/${PEPPER_VERSION}`);
  /** By the digest of a key that was found right. */
  const known = new LRUCache<string, KnownUse>({ max: KNOWN_KEYS_MAX });
  const nameOf = (apiKey: string) => digestApiKey(pepper, apiKey).toString('base64');

  async function recognize(apiKey: string): Promise<KnownUse | undefined> {
    const publicId = findPublicId(apiKey);
    if (publicId === undefined) return undefined;
    const secret = await findSecret(database, publicId);
    const isRight = isSameDigest(secret?.digest ?? NO_DIGEST, digestApiKey(pepper, apiKey));
    return secret && isRight ? { keyId: secret.keyId, generation: secret.generation, last: undefined } : undefined;
  }

  return {
    recall: (apiKey) => known.get(nameOf(apiKey)),
    recognize,
    async learn(apiKey) {
      const use = await recognize(apiKey);
      if (use !== undefined) known.set(nameOf(apiKey), use);
      return use;
    },
  };
}
