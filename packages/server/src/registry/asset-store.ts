import type { Walk } from '@gladhand/base/page.ts';
import type { AssetKind } from '@gladhand/contract/record.ts';
import { type Selectable, sql } from 'kysely';
import { ofOrganization } from '../database/of-organization.ts';
import type { AssetTable } from '../database/schema.ts';
import { type Connection, given, type NewRow, undefinedWhenTaken } from './stored-row.ts';

export type AssetRow = Selectable<AssetTable>;

/** How a caller names an asset: any of the three that is not undefined may match. */
export interface AssetName {
  readonly id?: string;
  readonly vin?: string;
  readonly serialNumber?: string;
}

export async function listAssets(
  db: Connection,
  organizationId: string,
  of: { kind: AssetKind; fleetId?: string; activeOnly?: boolean },
  slice: Walk,
): Promise<AssetRow[]> {
  return await db
    .selectFrom('asset')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('kind', '=', of.kind)
    .$if(of.fleetId !== undefined, (query) => query.where('fleet_id', '=', of.fleetId as string))
    .$if(of.activeOnly === true, (query) => query.where('is_active', '=', true))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
}

/** The assets of an organization that `names` name; a serial number may find several. */
export async function selectAssets(
  db: Connection,
  organizationId: string,
  kinds: readonly AssetKind[],
  names: readonly AssetName[],
): Promise<AssetRow[]> {
  const ids = names.flatMap((name) => name.id ?? []);
  const vins = names.flatMap((name) => name.vin ?? []);
  const serialNumbers = names.flatMap((name) => name.serialNumber ?? []);
  return await db
    .selectFrom('asset')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('kind', 'in', kinds)
    .where((where) =>
      where.or([
        where(sql<string>`id`, '=', sql<string>`any(${ids}::uuid[])`),
        where(sql<string>`vin`, '=', sql<string>`any(${vins}::text[])`),
        ...(serialNumbers.length > 0 ? [where('serial_number', 'in', serialNumbers)] : []),
      ]),
    )
    .orderBy('id')
    .execute();
}

/** Plants of the organization that a caller restricted to `plantIds` may see (null: all), and how many there are. */
export async function listPlants(
  db: Connection,
  organizationId: string,
  plantIds: ReadonlySet<string> | null,
  slice: { skip: number; take: number },
): Promise<{ rows: AssetRow[]; total: number }> {
  const visible = db
    .selectFrom('asset')
    .where(ofOrganization('organization_id', organizationId))
    .where('kind', '=', 'plant')
    .$if(plantIds !== null, (query) =>
      query.where(sql<string>`id`, '=', sql<string>`any(${[...(plantIds ?? [])]}::uuid[])`),
    );
  const rows = await visible.selectAll().orderBy('id').offset(slice.skip).limit(slice.take).execute();
  const { total } = await visible.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
  return { rows, total: Number(total) };
}

/** The stored asset, or undefined when its organization has the VIN, or anybody the id. */
export async function insertAsset(db: Connection, asset: NewRow<AssetRow>): Promise<AssetRow | undefined> {
  return await db
    .insertInto('asset')
    .values({ ...asset, is_active_since: asset.created_at })
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(undefinedWhenTaken);
}

export interface AssetSet {
  readonly name?: string | undefined;
  readonly is_active?: boolean | undefined;
  readonly fleet_id?: string | null | undefined;
  readonly unit_number?: string | null | undefined;
  readonly serial_number?: string | undefined;
}

export async function updateAsset(
  db: Connection,
  organizationId: string,
  kind: AssetKind,
  id: string,
  set: AssetSet,
  at: Date,
): Promise<AssetRow | undefined> {
  const { is_active: isActive } = set;
  const since = sql<Date>`case when is_active = ${isActive} then is_active_since else ${at}::timestamptz end`;
  return await db
    .updateTable('asset')
    .set({ ...(given(set) as object), ...(isActive !== undefined && { is_active_since: since }), updated_at: at })
    .where(ofOrganization('organization_id', organizationId))
    .where('kind', '=', kind)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
}
