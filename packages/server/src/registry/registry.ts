import { Fault } from '@gladhand/base/fault.ts';
import { isUuid } from '@gladhand/base/ids.ts';
import { type Listed, listById, type Walk } from '@gladhand/base/page.ts';
import type { FilterIds, FilterNames } from '@gladhand/contract/feed-filter.ts';
import type { PlantList } from '@gladhand/contract/plants.ts';
import type { RegisteredPlant } from '@gladhand/contract/registration.ts';
import type { DeliverSafeUnit, Device, Fleet, Trailer } from '@gladhand/contract/registry.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Database } from '../database/database.ts';
import * as store from './store.ts';

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

export function createRegistry(parts: { readonly database: Database }): Registry {
  const read = <Result>(organizationId: string, work: (own: store.Connection) => Promise<Result>) =>
    parts.database.within(organizationId, work, 'read');

  async function findAsset(organizationId: string, kinds: readonly store.AssetKind[], name: store.AssetName | null) {
    if (name === null) return undefined;
    const found = await read(organizationId, (own) => store.selectAssets(own, organizationId, kinds, [name]));
    return found.find((row) => row.vin === name.vin) ?? (found.length === 1 ? found[0] : undefined);
  }

  async function assetIdsOf(
    own: store.Connection,
    organizationId: string,
    kind: store.AssetKind,
    names: readonly string[],
  ) {
    if (names.length === 0) return [];
    const asked: store.AssetName[] = names.map(
      (name) => (kind === 'plant' ? idOf(name) : idOrVinOf(name)) ?? refuse(kind),
    );
    const rows = await store.selectAssets(own, organizationId, [kind], asked);
    return asked.map(
      (name) =>
        (rows.find((row) => row.id === name.id || (row.vin !== null && row.vin === name.vin)) ?? refuse(kind)).id,
    );
  }

  return {
    async findFleet(organizationId, id) {
      if (!isUuid(id)) return undefined;
      return (await read(organizationId, (own) => store.selectFleets(own, organizationId, [id])))[0];
    },
    listFleets: (organizationId, walk) =>
      listById(walk, (slice) => read(organizationId, (own) => store.listFleets(own, organizationId, slice))),
    async findTrailer(organizationId, idOrVin) {
      const row = await findAsset(organizationId, ['trailer'], idOrVinOf(idOrVin));
      return row && store.toTrailer(row);
    },
    async listTrailers(organizationId, fleetId, walk) {
      const of = { kind: 'trailer', fleetId, activeOnly: walk.activeOnly } as const;
      return listById(walk, async (slice) =>
        (await read(organizationId, (own) => store.listAssets(own, organizationId, of, slice))).map(store.toTrailer),
      );
    },
    async findDeliverSafe(organizationId, name) {
      const row = await findAsset(organizationId, ['deliversafe'], idOf(name) ?? vinOrSerialNumberOf(name));
      return row && store.toDeliverSafeUnit(row);
    },
    async listDeliverSafe(organizationId, walk) {
      const of = { kind: 'deliversafe' } as const;
      const rows = (slice: Walk) => read(organizationId, (own) => store.listAssets(own, organizationId, of, slice));
      return listById(walk, async (slice) => (await rows(slice)).map(store.toDeliverSafeUnit));
    },
    async findVehicleId(organizationId, idOrVin) {
      return (await findAsset(organizationId, ['trailer', 'deliversafe'], idOrVinOf(idOrVin)))?.id;
    },
    async findDevice(organizationId, id, plantIds) {
      if (!isUuid(id)) return undefined;
      return await read(organizationId, (own) => store.findDevice(own, organizationId, id, plantIds));
    },
    async listDevices(organizationId, assetId, walk) {
      const of = { assetId, activeOnly: walk.activeOnly };
      return listById(walk, (slice) =>
        read(organizationId, (own) => store.listDevices(own, organizationId, of, slice)),
      );
    },
    async listPlants({ organizationId, plantIds }, { page, limit }) {
      const slice = { skip: (page - 1) * limit, take: limit };
      const plants = (own: store.Connection) => store.listPlants(own, organizationId, plantIds, slice);
      const { rows, total } = await read(organizationId, plants);
      return { data: rows.map(store.toPlant), meta: { limit, page, total, totalPages: Math.ceil(total / limit) } };
    },
    async findPlant({ organizationId, plantIds }, id) {
      const name = idOf(id);
      if (name === null || (plantIds !== null && !plantIds.has(name.id))) return undefined;
      const row = await findAsset(organizationId, ['plant'], name);
      return row && store.toPlant(row);
    },
    resolveFilter: (organizationId, names) =>
      read(organizationId, async (own) => {
        const fleets = [...new Set((names.fleets ?? []).map((id) => idOf(id)?.id ?? refuse('fleet')))];
        if (fleets.length > 0 && (await store.selectFleets(own, organizationId, fleets)).length < fleets.length)
          refuse('fleet');
        const assets = [
          ...(await assetIdsOf(own, organizationId, 'trailer', names.trailers ?? [])),
          ...(await assetIdsOf(own, organizationId, 'deliversafe', names.deliverSafe ?? [])),
          ...(await assetIdsOf(own, organizationId, 'plant', names.plants ?? [])),
        ];
        return { fleetIds: fleets, assetIds: [...new Set(assets)] };
      }),
  };
}

const NOUNS = { fleet: 'fleet', trailer: 'trailer', deliversafe: 'DeliverSafe unit', plant: 'plant' } as const;

function refuse(kind: keyof typeof NOUNS): never {
  throw nothingHere(NOUNS[kind]);
}

/** The item, or the one answer to a name that finds nothing. */
export function found<Item>(noun: string, item: Item | undefined): Item {
  if (item === undefined) throw nothingHere(noun);
  return item;
}

/** Repeats nothing of the request and does not depend on whose the thing may be. */
function nothingHere(noun: string): Fault {
  return new Fault('not-found', `Your organization has no such ${noun}. Check the id; lists show the ones you have.`);
}

function idOf(text: string): { id: string } | null {
  return isUuid(text) ? { id: text.toLowerCase() } : null;
}

function idOrVinOf(text: string): store.AssetName | null {
  const read = normalizeVin(text);
  return idOf(text) ?? (read.ok ? { vin: read.vin } : null);
}

function vinOrSerialNumberOf(text: string): store.AssetName | null {
  const read = normalizeVin(text);
  // PostgreSQL's text has no NUL, and no serial number has a control character.
  if (/\p{Cc}/u.test(text)) return null;
  return { serialNumber: text, ...(read.ok && { vin: read.vin }) };
}
