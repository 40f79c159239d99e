import { Fault } from '@gladhand/base/fault.ts';
import type { AssetKind } from '@gladhand/contract/record.ts';
import type { AssetChange, DeviceChange, FleetChange, NewDevice, NewFleet } from '@gladhand/contract/registration.ts';
import type { Device, Fleet } from '@gladhand/contract/registry.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import { type AssetRow, insertAsset, listAssets, selectAssets, updateAsset } from './asset-store.ts';
import type { Table, Thing } from './collection.ts';
import { findDevice, insertDevice, listAllDevices, updateDevice } from './device-store.ts';
import { insertFleet, listFleets, selectFleets, updateFleet } from './fleet-store.ts';
import type { Connection } from './stored-row.ts';

export const FLEETS: Table<Fleet, NewFleet, FleetChange> = {
  noun: 'fleet',
  kind: 'fleet',
  claims: false,
  list: listFleets,
  find: async (own, organizationId, id) => (await selectFleets(own, organizationId, [id]))[0],
  insert: (own, _organizationId, order, entry) => insertFleet(own, { ...entry, name: order.name }),
  update: (own, organizationId, id, { name, isActive }, at) =>
    updateFleet(own, organizationId, id, { name, is_active: isActive }, at),
};

export const DEVICES: Table<Device, NewDevice, DeviceChange> = {
  noun: 'device',
  kind: 'device',
  claims: false,
  list: listAllDevices,
  find: (own, organizationId, id) => findDevice(own, organizationId, id, null),
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
    const stored = await insertDevice(own, device);
    if (stored === undefined) throw taken('/externalId', 'A device with this id is registered in this product.');
    return stored;
  },
  async update(own, organizationId, id, { assetId, kind, isActive }, at) {
    if (assetId !== undefined) await requireAsset(own, organizationId, assetId);
    return updateDevice(own, organizationId, id, { asset_id: assetId, kind, is_active: isActive }, at);
  },
};

type NewAsset = {
  name: string;
  fleetId?: string | null;
  unitNumber?: string | null;
  vin?: string;
  serialNumber?: string;
  id?: string;
};

/** Trailers, DeliverSafe units and plants. */
export function assetTable<Item extends Thing, New extends NewAsset>(
  noun: string,
  kind: AssetKind,
  toItem: (row: AssetRow) => Item,
): Table<Item, New, AssetChange> {
  return {
    noun,
    kind,
    claims: true,
    list: async (own, organizationId, slice) => (await listAssets(own, organizationId, { kind }, slice)).map(toItem),
    async find(own, organizationId, id) {
      const row = (await selectAssets(own, organizationId, [kind], [{ id }]))[0];
      return row && toItem(row);
    },
    async insert(own, organizationId, order, entry) {
      const named = order.vin === undefined ? undefined : readVin(order.vin);
      if (order.fleetId) await requireFleet(own, organizationId, order.fleetId);
      const row = await insertAsset(own, {
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
      const row = await updateAsset(own, organizationId, kind, id, set, at);
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

async function requireFleet(own: Connection, organizationId: string, id: string): Promise<void> {
  if ((await selectFleets(own, organizationId, [id])).length === 0) throw missing('/fleetId', 'fleet');
}

async function requireAsset(own: Connection, organizationId: string, id: string): Promise<void> {
  const rows = await selectAssets(own, organizationId, ['trailer', 'deliversafe', 'plant'], [{ id }]);
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
