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
import { toDeliverSafeUnit, toPlant, toTrailer } from './asset-body.ts';
import { type Collection, type CollectionParts, createCollection } from './collection.ts';
import { assetTable, DEVICES, FLEETS } from './tables.ts';

/**
 * What people register and change: the same five verbs for fleets, trailers, DeliverSafe units, devices and plants.
 * Promise: each change and its entry in the audit log are one transaction; nothing is deleted, because telemetry
 * points at it, only taken out of service; what an organization does not own is `not-found`, in the path and in the
 * body alike; payloads that waited for a VIN or a plant are processed once it is registered. Assumes the caller may
 * act for the organization. Fails as the database fails, having changed nothing.
 */
export interface Administration {
  readonly fleets: Collection<Fleet, NewFleet, FleetChange>;
  readonly trailers: Collection<Trailer, NewTrailer, AssetChange>;
  readonly deliverSafe: Collection<DeliverSafeUnit, NewDeliverSafe, AssetChange>;
  readonly devices: Collection<Device, NewDevice, DeviceChange>;
  readonly plants: Collection<RegisteredPlant, NewPlant, AssetChange>;
}

const TRAILERS = assetTable<Trailer, NewTrailer>('trailer', 'trailer', toTrailer);
const DELIVERSAFE = assetTable<DeliverSafeUnit, NewDeliverSafe>('DeliverSafe unit', 'deliversafe', toDeliverSafeUnit);
const PLANTS = assetTable<RegisteredPlant, NewPlant>('plant', 'plant', toPlant);

export function createAdministration(parts: CollectionParts): Administration {
  return {
    fleets: createCollection(parts, FLEETS),
    trailers: createCollection(parts, TRAILERS),
    deliverSafe: createCollection(parts, DELIVERSAFE),
    devices: createCollection(parts, DEVICES),
    plants: createCollection(parts, PLANTS),
  };
}
