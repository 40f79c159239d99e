import { isUuid } from '@gladhand/base/ids.ts';
import { type Listed, listById, type Walk } from '@gladhand/base/page.ts';
import type { FilterIds, FilterNames } from '@gladhand/contract/feed-filter.ts';
import type { PlantList } from '@gladhand/contract/plants.ts';
import type { AssetKind } from '@gladhand/contract/record.ts';
import type { RegisteredPlant } from '@gladhand/contract/registration.ts';
import type { DeliverSafeUnit, Device, Fleet, Trailer } from '@gladhand/contract/registry.ts';
import type { Database } from '../database/database.ts';
import { toDeliverSafeUnit, toPlant, toTrailer } from './asset-body.ts';
import { idOf, idOrVinOf, unitNameOf } from './asset-name.ts';
import { type AssetName, listAssets, listPlants, selectAssets } from './asset-store.ts';
import { findDevice, listDevices } from './device-store.ts';
import { listFleets, selectFleets } from './fleet-store.ts';
import { resolveFilter } from './resolve-filter.ts';
import type { Connection } from './stored-row.ts';

/**
 * What organizations own: fleets, trailers, devices and DeliverSafe units. Promise: every read takes the organization
 * it is for and finds nothing of another one; what is not there, what belongs to someone else and what is not even
 * written like a name of it are the same `undefined`. Lists come in the order of creation and are walked by id, so a
 * page never skips or repeats what was there when the walk began. Assumes ids are UUIDv7. Fails as the database fails.
 */
export interface Registry {
  findFleet(organizationId: string, id: string): Promise<Fleet | undefined>;
  listFleets(organizationId: string, walk: Walk): Promise<Listed<Fleet>>;
  /** By id, or by VIN in either case. */
  findTrailer(organizationId: string, idOrVin: string): Promise<Trailer | undefined>;
  listTrailers(organizationId: string, fleetId: string, walk: Walk & { activeOnly: boolean }): Promise<Listed<Trailer>>;
  /** By id, by VIN in either case, or by a serial number that only one unit of the organization has. */
  findDeliverSafe(organizationId: string, name: string): Promise<DeliverSafeUnit | undefined>;
  listDeliverSafe(organizationId: string, walk: Walk): Promise<Listed<DeliverSafeUnit>>;
  /** The id of a trailer or a DeliverSafe unit, by its id or VIN. */
  findVehicleId(organizationId: string, idOrVin: string): Promise<string | undefined>;
  /** `plantIds`: the plants the caller is restricted to, null for all; a device of another plant is not found. */
  findDevice(organizationId: string, id: string, plantIds: ReadonlySet<string> | null): Promise<Device | undefined>;
  listDevices(organizationId: string, assetId: string, walk: Walk & { activeOnly: boolean }): Promise<Listed<Device>>;
  /** By page number, in the order of registration. */
  listPlants(view: PlantView, page: { page: number; limit: number }): Promise<PlantList>;
  findPlant(view: PlantView, id: string): Promise<RegisteredPlant | undefined>;
  /** What a subscriber asks for, as ids; throws `not-found` when it names anything that is not the organization's. */
  resolveFilter(organizationId: string, names: Partial<FilterNames>): Promise<FilterIds>;
}

/** Whose plants, and which of them the caller is restricted to; null: all. */
export interface PlantView {
  readonly organizationId: string;
  readonly plantIds: ReadonlySet<string> | null;
}

export function createRegistry({ database }: { readonly database: Database }): Registry {
  const read = <Result>(organizationId: string, work: (own: Connection) => Promise<Result>) =>
    database.within(organizationId, work, 'read');

  async function findAsset(organizationId: string, kinds: readonly AssetKind[], name: AssetName | null) {
    if (name === null) return undefined;
    const rows = await read(organizationId, (own) => selectAssets(own, organizationId, kinds, [name]));
    return rows.find((row) => row.vin === name.vin) ?? (rows.length === 1 ? rows[0] : undefined);
  }

  return {
    async findFleet(organizationId, id) {
      if (!isUuid(id)) return undefined;
      return (await read(organizationId, (own) => selectFleets(own, organizationId, [id])))[0];
    },
    listFleets: (organizationId, walk) =>
      listById(walk, (slice) => read(organizationId, (own) => listFleets(own, organizationId, slice))),
    async findTrailer(organizationId, idOrVin) {
      const row = await findAsset(organizationId, ['trailer'], idOrVinOf(idOrVin));
      return row && toTrailer(row);
    },
    async listTrailers(organizationId, fleetId, walk) {
      const of = { kind: 'trailer', fleetId, activeOnly: walk.activeOnly } as const;
      return listById(walk, async (slice) =>
        (await read(organizationId, (own) => listAssets(own, organizationId, of, slice))).map(toTrailer),
      );
    },
    async findDeliverSafe(organizationId, name) {
      const row = await findAsset(organizationId, ['deliversafe'], unitNameOf(name));
      return row && toDeliverSafeUnit(row);
    },
    async listDeliverSafe(organizationId, walk) {
      const of = { kind: 'deliversafe' } as const;
      const rows = (slice: Walk) => read(organizationId, (own) => listAssets(own, organizationId, of, slice));
      return listById(walk, async (slice) => (await rows(slice)).map(toDeliverSafeUnit));
    },
    async findVehicleId(organizationId, idOrVin) {
      return (await findAsset(organizationId, ['trailer', 'deliversafe'], idOrVinOf(idOrVin)))?.id;
    },
    async findDevice(organizationId, id, plantIds) {
      if (!isUuid(id)) return undefined;
      return await read(organizationId, (own) => findDevice(own, organizationId, id, plantIds));
    },
    async listDevices(organizationId, assetId, walk) {
      const of = { assetId, activeOnly: walk.activeOnly };
      return listById(walk, (slice) => read(organizationId, (own) => listDevices(own, organizationId, of, slice)));
    },
    async listPlants({ organizationId, plantIds }, { page, limit }) {
      const slice = { skip: (page - 1) * limit, take: limit };
      const { rows, total } = await read(organizationId, (own) => listPlants(own, organizationId, plantIds, slice));
      return { data: rows.map(toPlant), meta: { limit, page, total, totalPages: Math.ceil(total / limit) } };
    },
    async findPlant({ organizationId, plantIds }, id) {
      const name = idOf(id);
      if (name === null || (plantIds !== null && !plantIds.has(name.id))) return undefined;
      const row = await findAsset(organizationId, ['plant'], name);
      return row && toPlant(row);
    },
    resolveFilter: (organizationId, names) => read(organizationId, (own) => resolveFilter(own, organizationId, names)),
  };
}
