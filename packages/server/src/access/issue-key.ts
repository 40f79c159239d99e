import type { Kysely } from 'kysely';
import type { Clock } from '../base/clock.ts';
import type { Ids } from '../base/ids.ts';
import type { Schema } from '../database/schema.ts';
import { createApiKey, digestApiKey, PEPPER_VERSION } from './api-key.ts';
import type { Audience } from './principal.ts';
import type { Secrets } from './secrets.ts';
import { insertKey } from './store.ts';

/** Makes a key of `order` in the caller's transaction; `plaintext` is the only copy there will ever be. */
export async function issueKey(
  executor: Kysely<Schema>,
  parts: { readonly secrets: Secrets; readonly clock: Clock; readonly ids: Ids },
  order: {
    readonly organizationId: string;
    readonly audience: Audience;
    readonly partnerId: string;
    readonly name: string;
    readonly scopes: readonly string[];
    readonly createdBy: string | null;
  },
): Promise<{ id: string; plaintext: string; prefix: string }> {
  const key = createApiKey((length) => parts.ids.randomBytes(length));
  const pepper = parts.secrets.derive(`api-key-pepper/${PEPPER_VERSION}`);
  const id = parts.ids.uuid();
  await insertKey(executor, {
    ...order,
    id,
    at: new Date(parts.clock.nowMs()),
    secret: { publicId: key.publicId, prefix: key.prefix, digest: digestApiKey(pepper, key.plaintext), pepperVersion: PEPPER_VERSION },
  });
  return { id, plaintext: key.plaintext, prefix: key.prefix };
}
