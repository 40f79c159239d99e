import { API_KEY_GENERATIONS_MAX, type ApiKey } from '@gladhand/contract/api-keys.ts';
import { type Kysely, sql } from 'kysely';
import { ofOrganization } from '../database/of-organization.ts';
import type { Schema } from '../database/schema.ts';

/** The SQL that shows API keys to whoever administers them. Nothing here reads what a key is recognized by. */
type Connection = Kysely<Schema>;

export async function countKeys(db: Connection, organizationId: string): Promise<number> {
  const row = await db
    .selectFrom('api_key')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where(ofOrganization('organization_id', organizationId))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Newest first. */
export async function listKeys(
  db: Connection,
  organizationId: string,
  slice: { offset: number; take: number },
  nowMs: number,
): Promise<ApiKey[]> {
  const rows = await keys(db, organizationId).orderBy('k.id', 'desc').offset(slice.offset).limit(slice.take).execute();
  return withGenerations(db, rows, nowMs);
}

/** `lock`: kept from changing until the transaction ends. */
export async function findKey(
  db: Connection,
  organizationId: string,
  id: string,
  nowMs: number,
  lock = false,
): Promise<ApiKey | undefined> {
  const rows = await keys(db, organizationId)
    .where('k.id', '=', id)
    .$if(lock, (query) => query.forUpdate('k'))
    .execute();
  return (await withGenerations(db, rows, nowMs))[0];
}

/** Which of `ids` are plants: of this organization, or with null of any. */
export async function findPlantIds(
  db: Connection,
  organizationId: string | null,
  ids: readonly string[],
): Promise<Set<string>> {
  const rows = await db
    .selectFrom('asset')
    .select('id')
    .where('kind', '=', 'plant')
    .where(sql<boolean>`id = any(${[...ids]}::uuid[])`)
    .$if(organizationId !== null, (query) => query.where(ofOrganization('organization_id', organizationId ?? '')))
    .execute();
  return new Set(rows.map((row) => row.id));
}

function keys(db: Connection, organizationId: string) {
  return db
    .selectFrom('api_key as k')
    .leftJoin('person as p', (join) =>
      join.onRef('p.id', '=', 'k.created_by').onRef('p.organization_id', '=', 'k.organization_id'),
    )
    .selectAll('k')
    .select(['p.id as creator_id', 'p.email', 'p.name as creator_name', 'p.role'])
    .select(['p.created_at as creator_created_at', 'p.updated_at as creator_updated_at'])
    .where(ofOrganization('k.organization_id', organizationId));
}

type Row = Awaited<ReturnType<ReturnType<typeof keys>['execute']>>[number];

async function withGenerations(db: Connection, rows: readonly Row[], nowMs: number): Promise<ApiKey[]> {
  if (rows.length === 0) return [];
  const generations = await db
    .selectFrom('api_key_secret as s')
    .innerJoin('api_key as k', 'k.id', 's.key_id')
    .select([
      's.key_id',
      's.generation',
      's.prefix',
      's.created_at',
      's.expires_at',
      's.last_used_at',
      's.last_used_address',
    ])
    .where(
      's.key_id',
      'in',
      rows.map((row) => row.id),
    )
    .where(sql<boolean>`s.generation > k.generation - ${API_KEY_GENERATIONS_MAX}::integer`)
    .orderBy('s.generation', 'desc')
    .execute();
  return rows.map((row) => {
    const own = generations.filter((generation) => generation.key_id === row.id);
    return toApiKey(row, own, nowMs);
  });
}

interface GenerationRow {
  readonly generation: number;
  readonly prefix: string;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly last_used_at: Date | null;
  readonly last_used_address: string | null;
}

function toApiKey(row: Row, generations: readonly GenerationRow[], nowMs: number): ApiKey {
  const lastUsedAtMs = Math.max(...generations.map((generation) => generation.last_used_at?.getTime() ?? 0));
  return {
    id: row.id,
    organizationId: row.organization_id,
    partnerId: row.partner_id,
    name: row.name,
    keyPrefix: generations[0]?.prefix ?? '',
    audience: row.audience,
    scopes: row.scopes,
    allowedIps: row.allowed_ips,
    allowedPlantIds: row.allowed_plant_ids,
    requireSignature: row.require_signature,
    expiresAt: text(row.expires_at),
    isActive: row.revoked_at === null && (row.expires_at === null || row.expires_at.getTime() > nowMs),
    revokedAt: text(row.revoked_at),
    lastUsedAt: lastUsedAtMs > 0 ? new Date(lastUsedAtMs).toISOString() : null,
    vhost: `partner-${row.id}`,
    createdBy: row.created_by,
    creator: creatorOf(row),
    generations: generations.map((generation) => ({
      generation: generation.generation,
      keyPrefix: generation.prefix,
      createdAt: generation.created_at.toISOString(),
      expiresAt: text(generation.expires_at),
      lastUsedAt: text(generation.last_used_at),
      lastUsedAddress: generation.last_used_address,
    })),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}

function creatorOf(row: Row): ApiKey['creator'] {
  const {
    creator_id: id,
    email,
    creator_name: name,
    role,
    creator_created_at: createdAt,
    creator_updated_at: updatedAt,
  } = row;
  if (id === null || email === null || name === null || role === null || createdAt === null || updatedAt === null)
    return null;
  return { id, email, name, role, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}

function text(at: Date | null): string | null {
  return at?.toISOString() ?? null;
}
