import type { Walk } from '@gladhand/base/page.ts';
import type { ContestedVin } from '@gladhand/contract/contested-vins.ts';
import type { RegisteredPlant } from '@gladhand/contract/registration.ts';
import type { DeliverSafeUnit, Device, Fleet, Trailer } from '@gladhand/contract/registry.ts';
import { type Kysely, type Selectable, sql } from 'kysely';
import { ofOrganization } from '../database/of-organization.ts';
import type { AssetTable, DeviceTable, FleetTable, Schema } from '../database/schema.ts';

/** The only SQL of the registry. Every read of what customers own is bound to an organization. */
export type Connection = Kysely<Schema>;
export type AssetKind = AssetTable['kind'];

/** How a caller names an asset: any of the three that is not undefined may match. */
export interface AssetName {
  readonly id?: string;
  readonly vin?: string;
  readonly serialNumber?: string;
}

const PG_UNIQUE_VIOLATION = '23505';

export async function selectFleets(db: Connection, organizationId: string, ids: readonly string[]): Promise<Fleet[]> {
  const rows = await db
    .selectFrom('fleet')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('id', 'in', ids)
    .execute();
  return rows.map(toFleet);
}

export async function listFleets(db: Connection, organizationId: string, slice: Walk): Promise<Fleet[]> {
  const rows = await db
    .selectFrom('fleet')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toFleet);
}

export type AssetRow = Selectable<AssetTable>;

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

// What intake resolves: across organizations, because a partner names a VIN, not its owner ------------------------------

export interface ResolvedAsset {
  readonly id: string;
  readonly organizationId: string;
  readonly kind: AssetKind;
  readonly fleetId: string | null;
}

/**
 * The assets of each VIN, whose telemetry is first: of those in service the one that has been longest, and where none is,
 * the one that was last. So a VIN stays with whoever registered it first, and passes on when it is taken out of service;
 * putting it back into service is standing in line anew (decision 0011).
 */
const INHERITANCE = sql`is_active desc, case when is_active then is_active_since end, is_active_since desc, id`;

export async function selectAssetsByVin(
  db: Connection,
  vins: readonly string[],
): Promise<Map<string, ResolvedAsset[]>> {
  const rows = await db
    .selectFrom('asset')
    .select(['id', 'organization_id', 'kind', 'fleet_id', 'vin'])
    .where(sql<string>`vin`, '=', sql<string>`any(${vins}::text[])`)
    .orderBy(INHERITANCE)
    .execute();
  const assets = new Map<string, ResolvedAsset[]>();
  for (const row of rows) assets.set(row.vin!, [...(assets.get(row.vin!) ?? []), toResolved(row)]);
  return assets;
}

/** VINs that several organizations have in service, with who has them; the first of each has its telemetry. */
export async function selectContestedVins(
  db: Connection,
  slice: { readonly afterVin: string | null; readonly take: number },
): Promise<ContestedVin[]> {
  const { rows } = await sql<ContestedVin>`
    select vin, json_agg(json_build_object('assetId', id, 'organizationId', organization_id, 'kind', kind,
             'isActiveSince', to_char(is_active_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by ${INHERITANCE}) as claims
      from asset where is_active and vin > ${slice.afterVin ?? ''}
     group by vin having count(*) > 1 order by vin limit ${slice.take}`.execute(db);
  return rows;
}

export async function selectPlants(db: Connection, ids: readonly string[]): Promise<Map<string, ResolvedAsset>> {
  const rows = await db
    .selectFrom('asset')
    .select(['id', 'organization_id', 'kind', 'fleet_id'])
    .where('kind', '=', 'plant')
    .where(sql<string>`id`, '=', sql<string>`any(${ids}::uuid[])`)
    .execute();
  return new Map(rows.map((row) => [row.id, toResolved(row)]));
}

/** Of these ids, the assets that are no plants. */
export async function selectOtherThanPlants(
  db: Connection,
  ids: readonly string[],
): Promise<{ id: string; organizationId: string }[]> {
  return db
    .selectFrom('asset')
    .select(['id', 'organization_id as organizationId'])
    .where('kind', '<>', 'plant')
    .where(sql<string>`id`, '=', sql<string>`any(${ids}::uuid[])`)
    .execute();
}

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

// Registering -----------------------------------------------------------------------------------------------------------

type Insert<Row> = Omit<Row, 'is_active' | 'is_active_since'>;

export async function insertFleet(db: Connection, fleet: Insert<Selectable<FleetTable>>): Promise<Fleet> {
  const row = await db.insertInto('fleet').values(fleet).returningAll().executeTakeFirstOrThrow();
  return toFleet(row);
}

/** The stored asset, or undefined when its organization has the VIN, or anybody the id. */
export async function insertAsset(db: Connection, asset: Insert<AssetRow>): Promise<AssetRow | undefined> {
  return await db
    .insertInto('asset')
    .values({ ...asset, is_active_since: asset.created_at })
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(undefinedWhenTaken);
}

/** The stored device, or undefined when its product already has its external id. */
export async function insertDevice(
  db: Connection,
  device: Insert<Selectable<DeviceTable>>,
): Promise<Device | undefined> {
  const row = await db
    .insertInto('device')
    .values(device)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(undefinedWhenTaken);
  return row && toDevice(row);
}

function undefinedWhenTaken(error: unknown): undefined {
  if ((error as { code?: string }).code === PG_UNIQUE_VIOLATION) return undefined;
  throw error;
}

// Rows as the contract names them ---------------------------------------------------------------------------------------

export function toTrailer(row: AssetRow): Trailer {
  return {
    id: row.id,
    vin: row.vin as string,
    vinCheck: row.vin_check as 'pass' | 'fail',
    fleetId: row.fleet_id,
    name: row.name,
    unitNumber: row.unit_number,
    isActive: row.is_active,
    ...toKept(row),
  };
}

export function toDeliverSafeUnit(row: AssetRow): DeliverSafeUnit {
  const { id, ...rest } = toTrailer(row);
  return { id, serialNumber: row.serial_number as string, ...rest };
}

function toFleet(row: Selectable<FleetTable>): Fleet {
  return { id: row.id, name: row.name, isActive: row.is_active, ...toKept(row) };
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
    ...toKept(row),
  };
}

function toKept(row: { created_at: Date; updated_at: Date }): { createdAt: string; updatedAt: string } {
  return { createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() };
}

function toResolved(row: Pick<AssetRow, 'id' | 'organization_id' | 'kind' | 'fleet_id'>): ResolvedAsset {
  return { id: row.id, organizationId: row.organization_id, kind: row.kind, fleetId: row.fleet_id };
}

// Administering ---------------------------------------------------------------------------------------------------------

export interface FleetSet {
  readonly name?: string | undefined;
  readonly is_active?: boolean | undefined;
}

export interface AssetSet extends FleetSet {
  readonly fleet_id?: string | null | undefined;
  readonly unit_number?: string | null | undefined;
  readonly serial_number?: string | undefined;
}

export interface DeviceSet {
  readonly asset_id?: string | undefined;
  readonly kind?: string | undefined;
  readonly is_active?: boolean | undefined;
}

/** Only what is not undefined is written. */
function given<Values extends object>(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Values;
}

export async function updateFleet(
  db: Connection,
  organizationId: string,
  id: string,
  set: FleetSet,
  at: Date,
): Promise<Fleet | undefined> {
  const row = await db
    .updateTable('fleet')
    .set({ ...(given(set) as object), updated_at: at })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  return row && toFleet(row);
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

export function toPlant(row: AssetRow): RegisteredPlant {
  return {
    id: row.id,
    fleetId: row.fleet_id,
    name: row.name,
    unitNumber: row.unit_number,
    isActive: row.is_active,
    ...toKept(row),
  };
}
