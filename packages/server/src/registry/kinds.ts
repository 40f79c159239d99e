import type { ErrorCode } from '@gladhand/contract/errors.ts';
import {
  DeliverSafeChangeBody,
  DeviceChangeBody,
  FleetChangeBody,
  NewDeliverSafeBody,
  NewDeviceBody,
  NewFleetBody,
  NewPlantBody,
  NewTrailerBody,
  PlantChangeBody,
  PlantPageSchema,
  PlantSchema,
  TrailerChangeBody,
} from '@gladhand/contract/registration.ts';
import {
  DeliverSafePageSchema,
  DeliverSafeUnitSchema,
  DevicePageSchema,
  DeviceSchema,
  FleetPageSchema,
  FleetSchema,
  TrailerPageSchema,
  TrailerSchema,
} from '@gladhand/contract/registry.ts';
import type { TSchema } from 'typebox';
import type { Administration } from './administer.ts';
import type { Collection } from './collection.ts';

/** One of the five kinds that people register, as its routes are made from it. */
export interface Kind {
  readonly path: string;
  /** As it stands in the names of its operations: `registerFleet`, `listOrganizationFleets`. */
  readonly noun: string;
  readonly one: string;
  /** What registering one can be refused with, beside what follows from its schema. */
  readonly refusals: readonly ErrorCode[];
  readonly many: string;
  readonly item: TSchema;
  readonly page: TSchema;
  readonly order: TSchema;
  readonly change: TSchema;
  // The schemas above make these what the collection takes.
  // biome-ignore lint/suspicious/noExplicitAny: five collections of five types are walked alike
  readonly of: (administration: Administration) => Collection<any, any, any>;
}

export const KINDS: readonly Kind[] = [
  {
    path: 'fleets',
    noun: 'Fleet',
    one: 'fleet',
    refusals: [],
    many: 'fleets',
    item: FleetSchema,
    page: FleetPageSchema,
    order: NewFleetBody,
    change: FleetChangeBody,
    of: ({ fleets }) => fleets,
  },
  {
    path: 'trailers',
    noun: 'Trailer',
    one: 'trailer',
    refusals: ['invalid-vin', 'already-exists'],
    many: 'trailers',
    item: TrailerSchema,
    page: TrailerPageSchema,
    order: NewTrailerBody,
    change: TrailerChangeBody,
    of: ({ trailers }) => trailers,
  },
  {
    path: 'devices',
    noun: 'Device',
    one: 'device',
    refusals: ['already-exists'],
    many: 'devices',
    item: DeviceSchema,
    page: DevicePageSchema,
    order: NewDeviceBody,
    change: DeviceChangeBody,
    of: ({ devices }) => devices,
  },
  {
    path: 'deliversafe',
    noun: 'DeliverSafeUnit',
    one: 'DeliverSafe unit',
    refusals: ['invalid-vin', 'already-exists'],
    many: 'DeliverSafe units',
    item: DeliverSafeUnitSchema,
    page: DeliverSafePageSchema,
    order: NewDeliverSafeBody,
    change: DeliverSafeChangeBody,
    of: ({ deliverSafe }) => deliverSafe,
  },
  {
    path: 'plants',
    noun: 'Plant',
    one: 'plant',
    refusals: ['already-exists'],
    many: 'plants',
    item: PlantSchema,
    page: PlantPageSchema,
    order: NewPlantBody,
    change: PlantChangeBody,
    of: ({ plants }) => plants,
  },
];
