import { type Static, Type } from 'typebox';
import { DisplayName, LINE_PATTERN } from './display-name.ts';
import { pageOf } from './registry.ts';

/** Bodies that register what an organization owns, and change it. An unknown property is refused. */
const closed = { additionalProperties: false } as const;
const uuid = (description: string) => Type.String({ format: 'uuid', description });
const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const change = <P extends Parameters<typeof Type.Object>[0]>(title: string, properties: P) =>
  Type.Object(properties, { ...closed, minProperties: 1, title, description: 'What changes; left out: stays' });

const vin = () =>
  Type.String({
    minLength: 17,
    maxLength: 17,
    description: 'Vehicle identification number in either case; what waits for it unclaimed is processed',
  });
const fleetId = () => orNull(uuid('A fleet of the organization'), 'The fleet it belongs to; null: none');
const line = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: LINE_PATTERN, description });
const unitNumber = () => orNull(line(100, "The owner's number"), "The owner's own number for it; null: none");
const serialNumber = () => line(100, 'Serial number of the unit');
const isActive = () => Type.Boolean({ description: 'False: taken out of service; it stays readable' });
export const WORD_PATTERN = '^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$';
const word = (description: string) => Type.String({ pattern: WORD_PATTERN, description });

export const NewFleetBody = Type.Object(
  { name: DisplayName() },
  { ...closed, title: 'NewFleet', description: 'A fleet to be made' },
);
export type NewFleet = Static<typeof NewFleetBody>;
export const FleetChangeBody = change('FleetChange', {
  name: Type.Optional(DisplayName()),
  isActive: Type.Optional(isActive()),
});
export type FleetChange = Static<typeof FleetChangeBody>;

const newVehicle = {
  vin: vin(),
  name: DisplayName(),
  fleetId: Type.Optional(fleetId()),
  unitNumber: Type.Optional(unitNumber()),
};
const vehicleChange = {
  name: Type.Optional(DisplayName()),
  fleetId: Type.Optional(fleetId()),
  unitNumber: Type.Optional(unitNumber()),
  isActive: Type.Optional(isActive()),
};

export const NewTrailerBody = Type.Object(newVehicle, {
  ...closed,
  title: 'NewTrailer',
  description: 'A trailer to be registered',
});
export type NewTrailer = Static<typeof NewTrailerBody>;
export const TrailerChangeBody = change('TrailerChange', vehicleChange);

export const NewDeliverSafeBody = Type.Object(
  { ...newVehicle, serialNumber: serialNumber() },
  { ...closed, title: 'NewDeliverSafeUnit', description: 'A DeliverSafe unit to be registered' },
);
export type NewDeliverSafe = Static<typeof NewDeliverSafeBody>;
export const DeliverSafeChangeBody = change('DeliverSafeChange', {
  ...vehicleChange,
  serialNumber: Type.Optional(serialNumber()),
});
/** The change of an asset of any kind. */
export type AssetChange = Static<typeof DeliverSafeChangeBody>;

export const NewDeviceBody = Type.Object(
  {
    assetId: uuid('The trailer, DeliverSafe unit or plant it reports for'),
    product: word('Product whose payloads it reports in'),
    externalId: line(200, "The device's id in that product, such as an IMEI"),
    kind: word('Kind of device, such as gateway'),
  },
  { ...closed, title: 'NewDevice', description: 'A device to be registered' },
);
export type NewDevice = Static<typeof NewDeviceBody>;
export const DeviceChangeBody = change('DeviceChange', {
  assetId: Type.Optional(uuid('The asset it is moved to')),
  kind: Type.Optional(word('Kind of device')),
  isActive: Type.Optional(isActive()),
});
export type DeviceChange = Static<typeof DeviceChangeBody>;

export const PlantSchema = Type.Object(
  {
    id: uuid('UUID of the plant'),
    fleetId: fleetId(),
    name: DisplayName(),
    unitNumber: unitNumber(),
    isActive: isActive(),
    createdAt: Type.String({ format: 'date-time', description: 'When it was registered' }),
    updatedAt: Type.String({ format: 'date-time', description: 'When its entry was last changed' }),
  },
  { ...closed, title: 'RegisteredPlant', description: 'A plant: an asset that stands still and has no VIN' },
);
export type RegisteredPlant = Static<typeof PlantSchema>;
export const PlantPageSchema = pageOf(PlantSchema, 'RegisteredPlantPage');

export const NewPlantBody = Type.Object(
  {
    id: Type.Optional(
      uuid('The id partners already send for it; left out: a new one. What waits for it unclaimed is processed'),
    ),
    name: DisplayName(),
    fleetId: Type.Optional(fleetId()),
    unitNumber: Type.Optional(unitNumber()),
  },
  { ...closed, title: 'NewPlant', description: 'A plant to be registered' },
);
export type NewPlant = Static<typeof NewPlantBody>;
export const PlantChangeBody = change('PlantChange', vehicleChange);
