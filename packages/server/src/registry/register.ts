import type { DeliverSafeUnit, Device, Fleet, Trailer } from '@gladhand/contract/registry.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Ids } from '../base/ids.ts';
import type { Database } from '../database/database.ts';
import * as store from './store.ts';

/** Entering what an organization owns. Throws `invalid-vin`, `already-exists`, or `not-found` for a foreign fleet or asset. */
export interface Register {
  createFleet(organizationId: string, fleet: { name: string }): Promise<Fleet>;
  createTrailer(organizationId: string, trailer: NewVehicle): Promise<Trailer>;
  createDeliverSafeUnit(organizationId: string, unit: NewVehicle & { serialNumber: string }): Promise<DeliverSafeUnit>;
  /** `externalId` is the device's id in its product; `assetId` a trailer, unit or plant of the organization. */
  createDevice(
    organizationId: string,
    device: { assetId: string; product: string; externalId: string; kind: string },
  ): Promise<Device>;
}

export interface NewVehicle {
  /** In either case; a failed check digit is kept as `vinCheck: fail`. */
  readonly vin: string;
  readonly name: string;
  readonly fleetId?: string | null;
  readonly unitNumber?: string | null;
}

export function createRegister(parts: { database: Pick<Database, 'within'>; clock: Clock; ids: Ids }): Register {
  const { within } = parts.database;

  function entry(organizationId: string) {
    const now = new Date(parts.clock.nowMs());
    return { id: parts.ids.uuid(), organization_id: organizationId, created_at: now, updated_at: now };
  }

  async function insertVehicle(
    own: store.Connection,
    organizationId: string,
    kind: 'trailer' | 'deliversafe',
    vehicle: NewVehicle,
    serialNumber: string | null,
  ): Promise<store.AssetRow> {
    const read = normalizeVin(vehicle.vin);
    if (!read.ok) throw new Fault('invalid-vin', `The VIN is not valid: ${read.detail}.`);
    const fleetId = vehicle.fleetId ?? null;
    if (fleetId !== null && (await store.selectFleets(own, organizationId, [fleetId])).length === 0) {
      throw new Fault('not-found', 'Your organization has no such fleet.');
    }
    const row = await store.insertAsset(own, {
      ...entry(organizationId),
      kind,
      fleet_id: fleetId,
      vin: read.vin,
      vin_check: read.check,
      name: vehicle.name,
      unit_number: vehicle.unitNumber ?? null,
      serial_number: serialNumber,
    });
    if (row === undefined) throw new Fault('already-exists', 'Your organization has registered this VIN already.');
    return row;
  }

  return {
    createFleet: (organizationId, fleet) =>
      within(organizationId, (own) => store.insertFleet(own, { ...entry(organizationId), name: fleet.name })),
    createTrailer: (organizationId, trailer) =>
      within(organizationId, async (own) =>
        store.toTrailer(await insertVehicle(own, organizationId, 'trailer', trailer, null)),
      ),
    createDeliverSafeUnit: (organizationId, unit) =>
      within(organizationId, async (own) =>
        store.toDeliverSafeUnit(await insertVehicle(own, organizationId, 'deliversafe', unit, unit.serialNumber)),
      ),
    createDevice: (organizationId, device) =>
      within(organizationId, async (own) => {
        const kinds = ['trailer', 'deliversafe', 'plant'] as const;
        if ((await store.selectAssets(own, organizationId, kinds, [{ id: device.assetId }])).length === 0) {
          throw new Fault('not-found', 'Your organization has no such asset.');
        }
        const stored = await store.insertDevice(own, {
          ...entry(organizationId),
          asset_id: device.assetId,
          product: device.product,
          external_id: device.externalId,
          kind: device.kind,
          first_seen_at: null,
          last_seen_at: null,
        });
        if (stored === undefined)
          throw new Fault('already-exists', 'A device with this id is registered in this product.');
        return stored;
      }),
  };
}
