import { createNetworks } from '@gladhand/base/network.ts';
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { KeyRow } from './key-state.ts';

/** The SQL by which a key is recognized and judged. */
export interface SecretRow {
  readonly keyId: string;
  readonly generation: number;
  readonly digest: Buffer;
}

export async function findKey(database: Database, keyId: string): Promise<KeyRow | undefined> {
  const key = await database.system
    .selectFrom('api_key as k')
    .innerJoin('organization as o', 'o.id', 'k.organization_id')
    .innerJoin('api_key_secret as now', (join) =>
      join.onRef('now.key_id', '=', 'k.id').onRef('now.generation', '=', 'k.generation'),
    )
    .leftJoin('api_key_secret as before', (join) =>
      join.onRef('before.key_id', '=', 'k.id').on('before.generation', '=', sql<number>`k.generation - 1`),
    )
    .select(['k.id', 'k.organization_id', 'o.kind', 'k.audience', 'k.partner_id', 'k.scopes', 'k.allowed_plant_ids'])
    .select(['k.allowed_ips', 'k.require_signature', 'k.generation', 'k.expires_at', 'k.revoked_at'])
    .select(['now.created_at as generation_at', 'now.public_id'])
    .select(['before.expires_at as previous_ends_at', 'before.public_id as previous_public_id'])
    .where('k.id', '=', keyId)
    .executeTakeFirst();
  return (
    key && {
      id: key.id,
      organizationId: key.organization_id,
      organizationKind: key.kind,
      audience: key.audience,
      partnerId: key.partner_id,
      scopes: key.scopes,
      plantIds: key.allowed_plant_ids,
      networks: key.allowed_ips.length === 0 ? null : createNetworks(key.allowed_ips),
      requireSignature: key.require_signature,
      expiresAt: key.expires_at,
      revokedAt: key.revoked_at,
      generation: key.generation,
      publicId: key.public_id,
      previous: key.previous_ends_at && {
        generation: key.generation - 1,
        publicId: key.previous_public_id!,
        supersededAt: key.generation_at,
        endsAt: key.previous_ends_at,
      },
    }
  );
}

export async function findSecret(database: Database, publicId: string): Promise<SecretRow | undefined> {
  const row = await database.system
    .selectFrom('api_key_secret')
    .select(['key_id', 'generation', 'digest'])
    .where('public_id', '=', publicId)
    .executeTakeFirst();
  return row && { keyId: row.key_id, generation: row.generation, digest: row.digest };
}
