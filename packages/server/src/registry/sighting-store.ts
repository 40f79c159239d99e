import { sql } from 'kysely';
import type { Connection } from './stored-row.ts';

export interface DeviceKey {
  readonly organizationId: string;
  readonly product: string;
  readonly externalId: string;
}

export interface KnownDevice extends DeviceKey {
  readonly id: string;
  readonly assetId: string;
  readonly lastSeenAtMs: number | null;
}

export interface DeviceWrite extends DeviceKey {
  readonly id: string;
  readonly assetId: string;
  readonly kind: string;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
}

export async function selectDevices(db: Connection, keys: readonly DeviceKey[]): Promise<KnownDevice[]> {
  const { rows } = await sql<{
    id: string;
    organization_id: string;
    product: string;
    external_id: string;
    asset_id: string;
    last_seen_at: Date | null;
  }>`select d.id, d.organization_id, d.product, d.external_id, d.asset_id, d.last_seen_at
       from unnest(${keys.map((key) => key.organizationId)}::uuid[], ${keys.map((key) => key.product)}::text[],
                   ${keys.map((key) => key.externalId)}::text[]) as k (organization_id, product, external_id)
       join device d using (organization_id, product, external_id)`.execute(db);
  return rows.map((row) => ({
    id: row.id,
    organizationId: row.organization_id,
    product: row.product,
    externalId: row.external_id,
    assetId: row.asset_id,
    lastSeenAtMs: row.last_seen_at === null ? null : row.last_seen_at.getTime(),
  }));
}

/**
 * Inserts new devices and refreshes known ones in one statement. A device stays with the asset it was seen on last.
 * Rows must be unique by key; the caller sorts them, so that two writers take the row locks in one order.
 */
export async function upsertDevices(
  db: Connection,
  devices: readonly DeviceWrite[],
  now: Date,
): Promise<Array<DeviceKey & { readonly id: string }>> {
  const column = <T>(pick: (device: DeviceWrite) => T) => devices.map(pick);
  const { rows } = await sql<{ id: string; organization_id: string; product: string; external_id: string }>`
    insert into device as d (id, organization_id, asset_id, product, external_id, kind, first_seen_at, last_seen_at, created_at, updated_at)
    select n.*, ${now}, ${now}
      from unnest(${column((d) => d.id)}::uuid[], ${column((d) => d.organizationId)}::uuid[], ${column((d) => d.assetId)}::uuid[],
                  ${column((d) => d.product)}::text[], ${column((d) => d.externalId)}::text[], ${column((d) => d.kind)}::text[],
                  ${column((d) => d.firstSeenAt)}::timestamptz[], ${column((d) => d.lastSeenAt)}::timestamptz[]) as n
    on conflict (organization_id, product, external_id) do update set
      asset_id = case when d.last_seen_at > excluded.last_seen_at then d.asset_id else excluded.asset_id end,
      updated_at = case when d.last_seen_at > excluded.last_seen_at or d.asset_id = excluded.asset_id then d.updated_at else excluded.updated_at end,
      first_seen_at = least(d.first_seen_at, excluded.first_seen_at),
      last_seen_at = greatest(d.last_seen_at, excluded.last_seen_at)
    returning id, organization_id, product, external_id`.execute(db);
  return rows.map((row) => ({
    id: row.id,
    organizationId: row.organization_id,
    product: row.product,
    externalId: row.external_id,
  }));
}
