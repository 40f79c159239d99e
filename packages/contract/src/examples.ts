import type { ErrorCode, FieldError } from './errors.ts';
import type { RefusingLimit } from './refusing-limit.ts';

/**
 * One example of each main body, by the title of its schema: the API reference shows them, and a test checks them
 * against the schemas. They belong together: a delivery van reverses, and its fleet reads the data.
 */
const FLEET = '01a2074c-fe3e-77bb-ae30-47d419e3a9b1';
const TRAILER = '01a2074c-fe49-7137-904b-e48877e79c65';
const UNIT = '01a2074d-011f-7477-92b0-e96a84b2221b';
const DEVICE = '01a2074c-fe51-773b-8dcf-5a156980bccb';
const RECEIPT = '01a2074d-6d1a-71cb-9863-030b8ad520a6';
const RECORD = '01a20746-a500-714e-a2fa-ae656443016d';
const RECEIVED_AT = '2026-11-23T07:27:24.442Z';
const PROCESSED_AT = '2026-11-23T07:27:24.483Z';
const OBSERVED_AT = '2026-11-23T07:27:20.000Z';
/** The request id in every example of a refusal. */
export const EXAMPLE_REQUEST = '01a2074d-6d13-7618-b0d1-5c3b9ba8ffde';

const kept = { createdAt: '2026-11-23T07:26:56.062Z', updatedAt: '2026-11-23T07:26:56.062Z' };
const provenance = {
  id: RECORD,
  assetId: UNIT,
  assetKind: 'deliversafe',
  deviceId: DEVICE,
  product: 'deliversafe',
  mappingVersion: 1,
  receiptId: RECEIPT,
  position: 6_388,
  observedAt: OBSERVED_AT,
  deviceAt: null,
  receivedAt: RECEIVED_AT,
  processedAt: PROCESSED_AT,
};
const gps = { latitude: 39.7684, longitude: -86.1581, headingDeg: 118, speedKph: 4.2, hdop: 0.7, satellites: 12 };
const latest = { observedAt: OBSERVED_AT, receivedAt: RECEIVED_AT, recordId: RECORD, deviceId: DEVICE };

export const EXAMPLES = {
  IssuedToken: {
    accessToken: 'eyJhbGciOiJFZDI1NTE5IiwidHlwIjoiYXQrand0In0.eyJhdWQiOiJjdXN0b21lciJ9.c2lnbmF0dXJl',
    tokenType: 'Bearer',
    expiresIn: 1800,
    expiresAt: '2026-11-23T07:57:22.000Z',
    scopes: ['fleets:read', 'trailers:read', 'telemetry:read'],
  },
  PartnerPayload: {
    unit: { serial: 'DS-0001' },
    reports: [
      {
        at: OBSERVED_AT,
        position: { latitude: 39.7684, longitude: -86.1581, speedKph: 4.2 },
        backup: { reversing: true, proximityM: 1.4, warning: 'caution' },
      },
    ],
  },
  Accepted: { receiptId: RECEIPT, receivedAt: RECEIVED_AT, status: 'queued' },
  Receipt: {
    receiptId: RECEIPT,
    receivedAt: RECEIVED_AT,
    status: 'partly-rejected',
    product: 'deliversafe',
    vin: '4ZZDB1817P7056642',
    plantId: null,
    mappingVersion: 1,
    processedAt: PROCESSED_AT,
    recordIds: [RECORD],
    skipped: 0,
    rejectsTotal: 1,
    rejects: [
      {
        refused: 'value',
        record: 0,
        code: 'out-of-bounds',
        pointer: '/records/0/signals/gps.speedKph',
        element: '/reports/0',
        expression: 'item.position.speedKph',
        found: 'number 9000',
        detail: 'gps.speedKph is 0 to 250 km/h',
      },
    ],
    leaves: {
      taken: 7,
      skipped: 0,
      leftOut: 1,
      rejected: 1,
      unused: 1,
      leftOutPaths: ['/reports/*/liftgate/cycles'],
      unusedPaths: ['/unit/firmware'],
    },
    repeats: null,
    unclaimed: [],
  },
  Problem: {
    type: 'https://gladhand.dev/errors/invalid-vin',
    title: 'The VIN is not valid',
    status: 400,
    detail: 'The VIN in the path is not valid: a VIN has 17 characters, this has 16.',
    instance: `urn:uuid:${EXAMPLE_REQUEST}`,
    code: 'invalid-vin',
    requestId: EXAMPLE_REQUEST,
    retryable: false,
    errors: [{ pointer: '/path/vin', code: 'length', detail: 'a VIN has 17 characters, this has 16' }],
  },
  Fleet: { id: FLEET, name: 'Dry freight', isActive: true, ...kept },
  Trailer: {
    id: TRAILER,
    vin: '1ZZV25327P7055634',
    vinCheck: 'pass',
    fleetId: FLEET,
    name: 'Dry van DV-055634',
    unitNumber: 'DV-055634',
    isActive: true,
    ...kept,
  },
  Device: {
    id: DEVICE,
    assetId: UNIT,
    product: 'deliversafe',
    externalId: 'DS-0001',
    kind: 'deliversafe',
    isActive: true,
    firstSeenAt: OBSERVED_AT,
    lastSeenAt: OBSERVED_AT,
    ...kept,
  },
  DeliverSafeUnit: {
    id: UNIT,
    serialNumber: 'DS-0001',
    vin: '4ZZDB1817P7056642',
    vinCheck: 'pass',
    fleetId: null,
    name: 'Delivery van LV-056642',
    unitNumber: 'LV-056642',
    isActive: true,
    ...kept,
  },
  TelemetryRecord: {
    ...provenance,
    signals: { gps, backup: { reversing: true, proximityM: null, warning: 'caution' } },
    states: { 'backup.proximityM': 'notAvailable' },
  },
  GpsFix: { ...provenance, signals: { gps } },
  Latest: {
    assetId: UNIT,
    assetKind: 'deliversafe',
    vin: '4ZZDB1817P7056642',
    metrics: { 'gps.speedKph': { value: 4.2, ...latest }, 'doors[rear].state': { value: 'closed', ...latest } },
  },
} as const satisfies Record<string, unknown>;

/** The text of an example of a refusal, if it says more than the title of its code. */
export interface RefusalExample {
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  readonly refusal?: { readonly limit: RefusingLimit; readonly retryAtMs: number };
}

const refusal = (name: string, policy: string) => ({
  limit: { name, policy },
  retryAtMs: Date.parse('2026-11-23T07:28:00.000Z'),
});

/** By code; the codes left out say their title. */
export const REFUSAL_EXAMPLES: Partial<Record<ErrorCode, RefusalExample>> = {
  'validation-failed': {
    detail: 'The body does not match what the product `deliversafe` takes: /reports/0/at is missing.',
    errors: [{ pointer: '/reports/0/at', code: 'required', detail: 'is missing' }],
  },
  'invalid-vin': {
    detail: EXAMPLES.Problem.detail,
    errors: EXAMPLES.Problem.errors,
  },
  'rate-limited': {
    detail: 'The limit `intake` is used up. The next request is accepted at 2026-11-23T07:28:00.000Z.',
    refusal: refusal('intake', '"intake";q=120;w=60'),
  },
  'too-many-concurrent-requests': {
    detail: 'The limit `concurrent-requests` is used up. The next request is accepted at 2026-11-23T07:28:00.000Z.',
    refusal: refusal('concurrent-requests', '"concurrent-requests";q=20;qu="concurrent-requests"'),
  },
  'missing-scope': { detail: 'This needs the scope telemetry:read, which the key does not have.' },
  'token-expired': { detail: 'The access token has expired. Get a new one with your API key; tokens live 30 minutes.' },
};
