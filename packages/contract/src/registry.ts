import { type Static, type TSchema, Type } from 'typebox';
import { VIN_PATTERN } from './vin.ts';

/**
 * What an organization owns, as its customer keys read it: fleets, trailers, devices and DeliverSafe units. Fields that are
 * not here are never answered. Lists are answered in pages `{data, next}`.
 */
const closed = { additionalProperties: false } as const;
const uuid = (description: string) => Type.String({ format: 'uuid', description });
const instant = (description: string) => Type.String({ format: 'date-time', description });
const orNull = <S extends TSchema>(schema: S, description: string) =>
  Type.Union([schema, Type.Null()], { description });

const name = () => Type.String({ minLength: 1, maxLength: 200, description: 'Display name' });
const isActive = () => Type.Boolean({ description: 'False once it was taken out of service; it stays readable' });
const fleetId = () => orNull(uuid('A fleet'), 'The fleet it belongs to; null when it is in none');
const vin = (description: string) => Type.String({ pattern: VIN_PATTERN, description });
const vinCheck = () =>
  Type.Enum(['pass', 'fail'], {
    type: 'string',
    description: 'Whether the check digit (position 9, 49 CFR 565.15) is right; a wrong one is told, not refused',
  });
const unitNumber = () =>
  orNull(Type.String({ maxLength: 100 }), "The owner's own number for it; null when it has none");
const kept = {
  createdAt: instant('When it was registered'),
  updatedAt: instant('When its entry was last changed'),
};

export const FleetSchema = Type.Object(
  { id: uuid('UUIDv7 of the fleet'), name: name(), isActive: isActive(), ...kept },
  { ...closed, title: 'Fleet', description: 'A group of assets of one organization' },
);
export type Fleet = Static<typeof FleetSchema>;

export const TrailerSchema = Type.Object(
  {
    id: uuid('UUIDv7 of the trailer'),
    vin: vin('Vehicle identification number, upper case; usable in place of the id'),
    vinCheck: vinCheck(),
    fleetId: fleetId(),
    name: name(),
    unitNumber: unitNumber(),
    isActive: isActive(),
    ...kept,
  },
  { ...closed, title: 'Trailer', description: 'A trailer' },
);
export type Trailer = Static<typeof TrailerSchema>;

export const DeliverSafeUnitSchema = Type.Object(
  {
    id: uuid('UUIDv7 of the unit'),
    serialNumber: Type.String({ minLength: 1, maxLength: 100, description: 'Serial number of the unit' }),
    vin: vin('Vehicle identification number of the delivery vehicle it is fitted to'),
    vinCheck: vinCheck(),
    fleetId: fleetId(),
    name: name(),
    unitNumber: unitNumber(),
    isActive: isActive(),
    ...kept,
  },
  { ...closed, title: 'DeliverSafeUnit', description: 'The safety system of a delivery vehicle' },
);
export type DeliverSafeUnit = Static<typeof DeliverSafeUnitSchema>;

export const DeviceSchema = Type.Object(
  {
    id: uuid('UUIDv7 of the device'),
    assetId: uuid('The trailer or DeliverSafe unit it reported for most recently'),
    product: Type.String({ description: 'Product whose payloads it reports in' }),
    externalId: Type.String({
      minLength: 1,
      maxLength: 200,
      description: "The device's id in that product, such as an IMEI",
    }),
    kind: Type.String({ description: 'Kind of device, such as gateway' }),
    isActive: isActive(),
    firstSeenAt: orNull(instant('An instant'), 'When it first reported; null when it never did'),
    lastSeenAt: orNull(instant('An instant'), 'When it last reported, kept to the minute; null when it never did'),
    ...kept,
  },
  { ...closed, title: 'Device', description: 'A device that reports for an asset' },
);
export type Device = Static<typeof DeviceSchema>;

/** A page of `item`: `next` is null on the last one. */
export function pageOf<S extends TSchema>(item: S, title: string) {
  return Type.Object(
    {
      data: Type.Array(item, { description: 'The items, at most `take`' }),
      next: orNull(Type.String(), 'Send it as `next` to get the page after this one; null: this is the last page'),
    },
    { ...closed, title, description: 'A page of a list' },
  );
}

export const FleetPageSchema = pageOf(FleetSchema, 'FleetPage');
export const TrailerPageSchema = pageOf(TrailerSchema, 'TrailerPage');
export const DevicePageSchema = pageOf(DeviceSchema, 'DevicePage');
export const DeliverSafePageSchema = pageOf(DeliverSafeUnitSchema, 'DeliverSafePage');
