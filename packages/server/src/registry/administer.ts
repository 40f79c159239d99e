import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { type Ids, isUuid } from '@gladhand/base/ids.ts';
import { type Listed, listById, type Walk } from '@gladhand/base/page.ts';
import type {
  AssetChange,
  DeviceChange,
  FleetChange,
  NewDeliverSafe,
  NewDevice,
  NewFleet,
  NewPlant,
  NewTrailer,
  RegisteredPlant,
} from '@gladhand/contract/registration.ts';
import type { DeliverSafeUnit, Device, Fleet, Trailer } from '@gladhand/contract/registry.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Origin } from '../access/principal.ts';
import { type NewAuditEvent, recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import { found } from './registry.ts';
import * as store from './store.ts';

/**
 * What people register and change: the same five verbs for fleets, trailers, DeliverSafe units, devices and plants.
 * Promise: each change and its entry in the audit log are one transaction; nothing is deleted, because telemetry
 * points at it, only taken out of service; what an organization does not own is `not-found`, in the path and in the
 * body alike; payloads that waited for a VIN or a plant are processed once it is registered. Assumes the caller may
 * act for the organization. Fails as the database fails, having changed nothing.
 */
export interface Collection<Item, New, Change> {
  list(organizationId: string, walk: Walk): Promise<Listed<Item>>;
  get(organizationId: string, id: string): Promise<Item>;
  create(organizationId: string, order: New, origin: Origin): Promise<Item>;
  change(organizationId: string, id: string, change: Change, origin: Origin): Promise<Item>;
  /** Takes it out of service; doing so again changes nothing. */
  retire(organizationId: string, id: string, origin: Origin): Promise<void>;
}

export interface Administration {
  readonly fleets: Collection<Fleet, NewFleet, FleetChange>;
  readonly trailers: Collection<Trailer, NewTrailer, AssetChange>;
  readonly deliverSafe: Collection<DeliverSafeUnit, NewDeliverSafe, AssetChange>;
  readonly devices: Collection<Device, NewDevice, DeviceChange>;
  readonly plants: Collection<RegisteredPlant, NewPlant, AssetChange>;
}

export interface AdministrationParts {
  readonly database: Pick<Database, 'within'>;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Called after an asset was registered for which payloads may be waiting. */
  readonly onRegistered: () => void;
}

/** How one kind of thing is read and written inside a transaction of its organization. */
interface Table<Item, New, Change> {
  /** As messages and the audit log call it. */
  readonly noun: string;
  readonly kind: string;
  list(own: store.Connection, organizationId: string, slice: Walk): Promise<Item[]>;
  find(own: store.Connection, organizationId: string, id: string): Promise<Item | undefined>;
  insert(own: store.Connection, organizationId: string, order: New, entry: Entry): Promise<Item>;
  update(
    own: store.Connection,
    organizationId: string,
    id: string,
    change: Change,
    at: Date,
  ): Promise<Item | undefined>;
  readonly claims: boolean;
}

interface Entry {
  readonly id: string;
  readonly organization_id: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}

type Thing = { readonly id: string; readonly isActive: boolean };

export function createAdministration(parts: AdministrationParts): Administration {
  const { database, clock, ids } = parts;

  function collection<Item extends Thing, New extends object, Change extends { isActive?: boolean }>(
    table: Table<Item, New, Change>,
  ): Collection<Item, New, Change> {
    const event = (
      origin: Origin,
      organizationId: string,
      verb: string,
      id: string,
      details: object,
      at: Date,
    ): NewAuditEvent => ({
      ...origin,
      organizationId,
      action: `${table.kind}.${verb}`,
      target: { kind: table.kind, id },
      details: { ...details },
      at,
    });
    const find = async (own: store.Connection, organizationId: string, id: string) =>
      found(table.noun, isUuid(id) ? await table.find(own, organizationId, id.toLowerCase()) : undefined);

    const change = (organizationId: string, id: string, values: Change, origin: Origin) => {
      const at = new Date(clock.nowMs());
      return database.within(organizationId, async (own) => {
        const before = await find(own, organizationId, id);
        const after = found(table.noun, await table.update(own, organizationId, before.id, values, at));
        const verb = before.isActive && !after.isActive ? 'deactivated' : 'changed';
        await recordAudit(own, event(origin, organizationId, verb, before.id, values, at));
        return after;
      });
    };

    return {
      list: (organizationId, walk) =>
        listById(walk, (slice) =>
          database.within(organizationId, (own) => table.list(own, organizationId, slice), 'read'),
        ),
      get: (organizationId, id) => database.within(organizationId, (own) => find(own, organizationId, id), 'read'),
      async create(organizationId, order, origin) {
        const at = new Date(clock.nowMs());
        const item = await database.within(organizationId, async (own) => {
          const entry = { id: ids.uuid(), organization_id: organizationId, created_at: at, updated_at: at };
          const made = await table.insert(own, organizationId, order, entry);
          await recordAudit(own, event(origin, organizationId, 'registered', made.id, order, at));
          return made;
        });
        if (table.claims) parts.onRegistered();
        return item;
      },
      change,
      async retire(organizationId, id, origin) {
        const before = await database.within(organizationId, (own) => find(own, organizationId, id), 'read');
        if (before.isActive) await change(organizationId, id, { isActive: false } as Change, origin);
      },
    };
  }

  return {
    fleets: collection<Fleet, NewFleet, FleetChange>({
      noun: 'fleet',
      kind: 'fleet',
      claims: false,
      list: store.listFleets,
      find: async (own, organizationId, id) => (await store.selectFleets(own, organizationId, [id]))[0],
      insert: (own, _organizationId, order, entry) => store.insertFleet(own, { ...entry, name: order.name }),
      update: (own, organizationId, id, { name, isActive }, at) =>
        store.updateFleet(own, organizationId, id, { name, is_active: isActive }, at),
    }),
    trailers: collection<Trailer, NewTrailer, AssetChange>(assets('trailer', 'trailer', store.toTrailer)),
    deliverSafe: collection<DeliverSafeUnit, NewDeliverSafe, AssetChange>(
      assets('DeliverSafe unit', 'deliversafe', store.toDeliverSafeUnit),
    ),
    plants: collection<RegisteredPlant, NewPlant, AssetChange>(assets('plant', 'plant', store.toPlant)),
    devices: collection<Device, NewDevice, DeviceChange>({
      noun: 'device',
      kind: 'device',
      claims: false,
      list: store.listAllDevices,
      find: (own, organizationId, id) => store.findDevice(own, organizationId, id, null),
      async insert(own, organizationId, { assetId, product, externalId, kind }, entry) {
        await requireAsset(own, organizationId, assetId);
        const device = {
          ...entry,
          asset_id: assetId,
          product,
          external_id: externalId,
          kind,
          first_seen_at: null,
          last_seen_at: null,
        };
        const stored = await store.insertDevice(own, device);
        if (stored === undefined) throw taken('/externalId', 'A device with this id is registered in this product.');
        return stored;
      },
      async update(own, organizationId, id, { assetId, kind, isActive }, at) {
        if (assetId !== undefined) await requireAsset(own, organizationId, assetId);
        return store.updateDevice(own, organizationId, id, { asset_id: assetId, kind, is_active: isActive }, at);
      },
    }),
  };
}

type NewAsset = {
  name: string;
  fleetId?: string | null;
  unitNumber?: string | null;
  vin?: string;
  serialNumber?: string;
  id?: string;
};

function assets<Item extends Thing, New extends NewAsset>(
  noun: string,
  kind: store.AssetKind,
  toItem: (row: store.AssetRow) => Item,
): Table<Item, New, AssetChange> {
  return {
    noun,
    kind,
    claims: true,
    list: async (own, organizationId, slice) =>
      (await store.listAssets(own, organizationId, { kind }, slice)).map(toItem),
    async find(own, organizationId, id) {
      const row = (await store.selectAssets(own, organizationId, [kind], [{ id }]))[0];
      return row && toItem(row);
    },
    async insert(own, organizationId, order, entry) {
      const named = order.vin === undefined ? undefined : readVin(order.vin);
      if (order.fleetId) await requireFleet(own, organizationId, order.fleetId);
      const row = await store.insertAsset(own, {
        ...entry,
        id: order.id?.toLowerCase() ?? entry.id,
        kind,
        fleet_id: order.fleetId ?? null,
        vin: named?.vin ?? null,
        vin_check: named?.check ?? null,
        name: order.name,
        unit_number: order.unitNumber ?? null,
        serial_number: order.serialNumber ?? null,
      });
      if (row === undefined)
        throw named
          ? taken('/vin', 'Your organization has registered this VIN already.')
          : taken('/id', 'An asset with this id is registered already.');
      return toItem(row);
    },
    async update(own, organizationId, id, { name, fleetId, unitNumber, serialNumber, isActive }, at) {
      if (fleetId) await requireFleet(own, organizationId, fleetId);
      const set = {
        name,
        fleet_id: fleetId,
        unit_number: unitNumber,
        serial_number: serialNumber,
        is_active: isActive,
      };
      const row = await store.updateAsset(own, organizationId, kind, id, set, at);
      return row && toItem(row);
    },
  };
}

function readVin(text: string): { vin: string; check: 'pass' | 'fail' } {
  const read = normalizeVin(text);
  if (read.ok) return read;
  throw new Fault('invalid-vin', `The VIN is not valid: ${read.detail}.`, {
    errors: [{ pointer: '/vin', code: read.reason, detail: read.detail }],
  });
}

async function requireFleet(own: store.Connection, organizationId: string, id: string): Promise<void> {
  if ((await store.selectFleets(own, organizationId, [id])).length === 0) throw missing('/fleetId', 'fleet');
}

async function requireAsset(own: store.Connection, organizationId: string, id: string): Promise<void> {
  const rows = await store.selectAssets(own, organizationId, ['trailer', 'deliversafe', 'plant'], [{ id }]);
  if (rows.length === 0) throw missing('/assetId', 'asset');
}

function missing(pointer: string, noun: string): Fault {
  return new Fault('not-found', `The organization has no such ${noun}.`, {
    errors: [{ pointer, code: 'not-found', detail: `names no ${noun} of the organization` }],
  });
}

function taken(pointer: string, detail: string): Fault {
  return new Fault('already-exists', detail, { errors: [{ pointer, code: 'taken', detail: 'is registered already' }] });
}
