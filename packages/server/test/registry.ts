import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { NewDeliverSafe, NewDevice, NewFleet, NewTrailer } from '@gladhand/contract/registration.ts';
import type { DeliverSafeUnit, Device, Fleet, Trailer } from '@gladhand/contract/registry.ts';
import { SYSTEM_ORIGIN } from '../src/access/principal.ts';
import type { Database } from '../src/database/database.ts';
import { createAdministration } from '../src/registry/administer.ts';
import { createRegistry, type Registry } from '../src/registry/registry.ts';

/** The registry, and registering as the installation itself, for tests whose subject is something else. */
export interface TestRegistry extends Registry {
  createFleet(organizationId: string, fleet: NewFleet): Promise<Fleet>;
  createTrailer(organizationId: string, trailer: NewTrailer): Promise<Trailer>;
  createDeliverSafeUnit(organizationId: string, unit: NewDeliverSafe): Promise<DeliverSafeUnit>;
  createDevice(organizationId: string, device: NewDevice): Promise<Device>;
}

export function createTestRegistry(parts: { database: Database; clock: Clock; ids: Ids }): TestRegistry {
  const { fleets, trailers, deliverSafe, devices } = createAdministration({
    ...parts,
    onRegistered: () => {},
  });
  return {
    ...createRegistry(parts),
    createFleet: (organizationId, fleet) => fleets.create(organizationId, fleet, SYSTEM_ORIGIN),
    createTrailer: (organizationId, trailer) => trailers.create(organizationId, trailer, SYSTEM_ORIGIN),
    createDeliverSafeUnit: (organizationId, unit) => deliverSafe.create(organizationId, unit, SYSTEM_ORIGIN),
    createDevice: (organizationId, device) => devices.create(organizationId, device, SYSTEM_ORIGIN),
  };
}
