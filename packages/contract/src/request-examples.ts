import { EXAMPLES } from './examples.ts';

/**
 * One example of each request body, by the title of its schema, that a reader can copy with few changes. The examples
 * belong together with those of examples.ts: a fleet with a trailer, a delivery van and a plant registers what it owns.
 */
const { Fleet, Trailer, Device, DeliverSafeUnit } = EXAMPLES;
const email = 'dispatch@example.com';

export const REQUEST_EXAMPLES = {
  SignIn: { email, password: 'a long sentence nobody else knows' },
  PasswordChange: {
    currentPassword: 'a long sentence nobody else knows',
    newPassword: 'another long sentence nobody else knows',
  },
  NewOrganization: { slug: 'dry-freight', name: 'Dry Freight' },
  OrganizationChange: { name: 'Dry Freight and Sons' },
  NewUser: { email, name: 'Dispatch', role: 'OPERATOR' },
  UserChange: { role: 'ADMIN' },
  NewApiKey: {
    name: 'Gateway in the depot',
    partnerId: 'depot',
    scopes: ['telemetry:write', 'product:deliversafe'],
    allowedIps: ['203.0.113.0/24'],
  },
  ApiKeyChange: { allowedIps: ['203.0.113.0/24', '198.51.100.7/32'] },
  RotateKey: { overlapSeconds: 3_600 },
  NewPlan: {
    slug: 'small',
    name: 'Small fleets',
    mode: 'enforce',
    readCapacity: 600,
    readRefillPerSecond: 10,
    concurrentRequestsMax: 10,
    streamsMax: 20,
    waitMsMax: 1_000,
    waitingRequestsMax: 20,
  },
  PlanChange: { readRefillPerSecond: 20 },
  ProductLimitChange: { limit: 120, windowSeconds: 60 },
  NewFleet: { name: Fleet.name },
  FleetChange: { name: 'Dry freight, north' },
  NewTrailer: { vin: Trailer.vin, name: Trailer.name, unitNumber: Trailer.unitNumber },
  TrailerChange: { unitNumber: 'DV-7' },
  NewDevice: { assetId: Device.assetId, product: Device.product, externalId: Device.externalId, kind: Device.kind },
  DeviceChange: { kind: 'tracker' },
  NewDeliverSafeUnit: {
    vin: DeliverSafeUnit.vin,
    name: DeliverSafeUnit.name,
    serialNumber: DeliverSafeUnit.serialNumber,
  },
  DeliverSafeChange: { unitNumber: 'LV-7' },
  NewPlant: { name: 'Depot roof' },
  PlantChange: { name: 'Depot roof, south' },
} as const satisfies Record<string, unknown>;
