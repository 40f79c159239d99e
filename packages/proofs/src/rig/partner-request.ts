/**
 * Makes intake requests as bytes, in the `traccar` format (one position, about 1.2 KB) and the `flespi` format (an array).
 * Each request has its own VIN, observation time and sequence number. The sequence number is sent as the odometer and can
 * be read as `odometerM`. Only fields of fixed width are overwritten, so a request takes less than a microsecond.
 */
export interface TraccarWriter {
  /** Returns bytes that the next call overwrites. `observedAtMs` is since the epoch; `sequence` is below 10^9. */
  write(vin: string, sequence: number, observedAtMs: number): Buffer;
  /** Length of the body in bytes. */
  readonly bodyBytes: number;
}

const SEQUENCE_DIGITS = 9;
const SEQUENCE_MARK = 111_111_111;
const VIN_MARK = 'VVVVVVVVVVVVVVVVV';
const DEVICE_MARK = 'DDDDDD';
const TIME_MARK = '2000-01-01T00:00:00.000';

/** `run` makes the Idempotency-Keys of this run unique. Without it, requests have no Idempotency-Key. */
export function createTraccarWriter(options: { token: string; run?: string; startedAtMs: number }): TraccarWriter {
  const body = JSON.stringify(traccarPayload(options.startedAtMs));
  const key = options.run === undefined ? [] : [`Idempotency-Key: ${options.run}-${VIN_MARK}-${SEQUENCE_MARK}`];
  const head = [
    `POST /api/v1/telemetry/intake/${VIN_MARK} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${options.token}`,
    'Content-Type: application/json',
    ...key,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  const text = `${head.join('\r\n')}\r\n\r\n${body}`;
  const bytes = Buffer.from(text, 'latin1');
  const vins = placesOf(text, VIN_MARK);
  const sequences = placesOf(text, String(SEQUENCE_MARK));
  const devices = placesOf(text, DEVICE_MARK);
  const times = placesOf(text, TIME_MARK);
  return {
    bodyBytes: Buffer.byteLength(body),
    write(vin, sequence, observedAtMs) {
      for (const place of vins) bytes.write(vin, place, 17, 'latin1');
      for (const place of devices) bytes.write(deviceOf(vin), place, DEVICE_MARK.length, 'latin1');
      const digits = String(SEQUENCE_BASE + sequence);
      for (const place of sequences) bytes.write(digits, place, SEQUENCE_DIGITS, 'latin1');
      const time = new Date(observedAtMs).toISOString();
      for (const place of times) bytes.write(time, place, TIME_MARK.length, 'latin1');
      return bytes;
    },
  };
}

/** Added to a sequence number to give the odometer in metres, so that it always has nine digits. */
export const SEQUENCE_BASE = 100_000_000;

/** The body of a request that `write` made. */
export function bodyOf(request: Buffer): Buffer {
  return request.subarray(request.indexOf('\r\n\r\n') + 4);
}

/** The device id of a trailer: each trailer has its own device. */
const deviceOf = (vin: string) => vin.slice(-DEVICE_MARK.length);

function placesOf(text: string, mark: string): number[] {
  const places: number[] = [];
  for (let place = text.indexOf(mark); place !== -1; place = text.indexOf(mark, place + 1)) places.push(place);
  return places;
}

const offsetIso = (atMs: number) => new Date(atMs).toISOString().replace('Z', '+00:00');

function traccarPayload(startedAtMs: number): unknown {
  return {
    position: {
      id: 88_213,
      attributes: {
        priority: 0,
        sat: 11,
        hdop: 0.8,
        event: 239,
        ignition: true,
        motion: true,
        rssi: 4,
        gpsStatus: 1,
        odometer: SEQUENCE_MARK,
        totalDistance: 184_199_812.4,
        distance: 271.6,
        hours: 48_211_000,
        power: 12.63,
        battery: 4.08,
        batteryLevel: 97,
        door: false,
        axleWeight: 7420,
        temp1: -17.9,
        vin: VIN_MARK,
        operator: 310_410,
        io24: 50,
        io68: 0,
        io69: 1,
        raw: '0000017f9e2b0a10',
      },
      deviceId: 412,
      protocol: 'teltonika',
      type: null,
      outdated: false,
      valid: true,
      serverTime: `${TIME_MARK}+00:00`,
      deviceTime: `${TIME_MARK}+00:00`,
      fixTime: `${TIME_MARK}+00:00`,
      latitude: 39.768403,
      longitude: -86.158068,
      altitude: 218,
      speed: 50.21598272138229,
      course: 271,
      address: null,
      accuracy: 0,
      network: null,
      geofenceIds: [7],
    },
    device: {
      id: 412,
      attributes: { product: 'trailer-gateway' },
      groupId: 3,
      calendarId: 0,
      name: 'UT-204518',
      uniqueId: `001017081${DEVICE_MARK}`,
      status: 'online',
      lastUpdate: offsetIso(startedAtMs),
      positionId: 88_212,
      phone: null,
      model: 'FMC650',
      contact: null,
      category: 'trailer',
      disabled: false,
      expirationTime: null,
    },
  };
}

/** A `flespi` array of `count` readings, one second apart. The first is at `observedAtMs`. */
export function flespiPayload(vin: string, sequence: number, count: number, observedAtMs: number): unknown {
  return Array.from({ length: count }, (_, place) => ({
    ident: `001017082${deviceOf(vin)}`,
    timestamp: observedAtMs / 1000 + place,
    'server.timestamp': observedAtMs / 1000,
    'channel.id': 429,
    'protocol.id': 14,
    peer: '203.0.113.24:51022',
    'device.id': 182_083,
    'device.name': 'UT-204518',
    'device.type.id': 744,
    'position.latitude': 39.768403 + place / 10_000,
    'position.longitude': -86.158068,
    'position.altitude': 218,
    'position.direction': 271,
    'position.speed': 93,
    'position.hdop': 0.8,
    'position.satellites': 11,
    'position.valid': true,
    'gnss.status': true,
    'movement.status': true,
    'engine.ignition.status': false,
    'external.powersource.voltage': 12.63,
    'battery.voltage': 4.08,
    'vehicle.mileage': (SEQUENCE_BASE + sequence + place) / 1000,
    'event.priority.enum': 0,
    'gsm.signal.level': 80,
  }));
}
