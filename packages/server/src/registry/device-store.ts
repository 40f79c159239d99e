import type { Walk } from '@gladhand/base/page.ts';
import type { Device } from '@gladhand/contract/registry.ts';
import { type Selectable, sql } from 'kysely';
import { ofOrganization } from '../database/of-organization.ts';
import type { DeviceTable } from '../database/schema.ts';
import { type Connection, given, type NewRow, toStamps, undefinedWhenTaken } from './stored-row.ts';

export async function findDevice(
  db: Connection,
  organizationId: string,
  id: string,
  plantIds: ReadonlySet<string> | null,
): Promise<Device | undefined> {
  const row = await db
    .selectFrom('device as d')
    .innerJoin('asset as a', 'a.id', 'd.asset_id')
    .selectAll('d')
    .where(ofOrganization('d.organization_id', organizationId))
    .where('d.id', '=', id)
    .$if(plantIds !== null, (query) =>
      query.where((where) =>
        where.or([
          where('a.kind', '<>', 'plant'),
          where(sql<string>`a.id`, '=', sql<string>`any(${[...(plantIds ?? [])]}::uuid[])`),
        ]),
      ),
    )
    .executeTakeFirst();
  return row && toDevice(row);
}

export async function listDevices(
  db: Connection,
  organizationId: string,
  of: { assetId: string; activeOnly: boolean },
  slice: Walk,
): Promise<Device[]> {
  const rows = await db
    .selectFrom('device')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('asset_id', '=', of.assetId)
    .$if(of.activeOnly, (query) => query.where('is_active', '=', true))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toDevice);
}

/** Every device of the organization, whatever it reports for. */
export async function listAllDevices(db: Connection, organizationId: string, slice: Walk): Promise<Device[]> {
  const rows = await db
    .selectFrom('device')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toDevice);
}

/** The stored device, or undefined when its product already has its external id. */
export async function insertDevice(
  db: Connection,
  device: NewRow<Selectable<DeviceTable>>,
): Promise<Device | undefined> {
  const row = await db
    .insertInto('device')
    .values(device)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(undefinedWhenTaken);
  return row && toDevice(row);
}

export interface DeviceSet {
  readonly asset_id?: string | undefined;
  readonly kind?: string | undefined;
  readonly is_active?: boolean | undefined;
}

export async function updateDevice(
  db: Connection,
  organizationId: string,
  id: string,
  set: DeviceSet,
  at: Date,
): Promise<Device | undefined> {
  const row = await db
    .updateTable('device')
    .set({ ...(given(set) as object), updated_at: at })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  return row && toDevice(row);
}

function toDevice(row: Selectable<DeviceTable>): Device {
  return {
    id: row.id,
    assetId: row.asset_id,
    product: row.product,
    externalId: row.external_id,
    kind: row.kind,
    isActive: row.is_active,
    firstSeenAt: row.first_seen_at?.toISOString() ?? null,
    lastSeenAt: row.last_seen_at?.toISOString() ?? null,
    ...toStamps(row),
  };
}
