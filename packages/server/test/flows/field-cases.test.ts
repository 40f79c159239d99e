import { describe, expect, test } from 'vitest';
import { openTestApp } from '../app.ts';

/** What people in this trade have been bitten by, over the whole server: several messages, and what a customer sees then. */
// One server for all: every test has vehicles of its own.
const world = await openTestApp();
const customer = await world.token(world.customerId, 'customer', ['trailers:read', 'devices:read', 'telemetry:read']);
const tokens = new Map<string, string>();
let vehicles = 0;

async function newVehicle(): Promise<string> {
  vehicles += 1;
  const vin = `1GHDFC${String(vehicles).padStart(11, '0')}`;
  await world.registry.createTrailer(world.customerId, { vin, name: vin, fleetId: null });
  return vin;
}

async function send(product: string, vin: string, payload: unknown, headers: Record<string, string> = {}) {
  const scopes = ['telemetry:write', `product:${product}`];
  const token = tokens.get(product) ?? (await world.token(world.operatorId, 'partner', scopes, product));
  tokens.set(product, token);
  const body = payload instanceof Uint8Array ? (payload as Uint8Array<ArrayBuffer>) : JSON.stringify(payload);
  const answer = await world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
    token,
    body,
    headers: { 'content-type': 'application/json', ...headers },
  });
  expect(answer.status, answer.text).toBe(202);
  return world.settled(token, answer.json.receiptId);
}

async function latest(vin: string): Promise<Record<string, { value: unknown; observedAt: string }>> {
  const { json } = await world.call('GET', `/api/v1/telemetry/latest?trailer=${vin}`, { token: customer });
  return json.data[0]?.metrics ?? {};
}

async function records(vin: string): Promise<any[]> {
  const { json } = await world.call('GET', `/api/v1/devices/${vin}`, { token: customer });
  const pages = await Promise.all(
    json.data.map((device: { id: string }) =>
      world.call('GET', `/api/v1/devices/telemetry/${device.id}?take=500`, { token: customer }),
    ),
  );
  return pages.flatMap((page) => page.json.data);
}

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
const secondsAgo = (seconds: number) => Math.floor(Date.now() / 1000) - seconds;

describe('latest', () => {
  const alarms = (vin: string, at: string, codes: readonly string[]) => ({
    data: [
      {
        externalIds: { 'samsara.vin': vin, 'samsara.serial': 'G1' },
        reeferAlarms: [{ time: at, alarms: codes.map((alarmCode) => ({ alarmCode, severity: 3 })) }],
      },
    ],
  });

  test('an alarm that an empty list clears is up no more, and latest says that none is', async () => {
    const vin = await newVehicle();
    await send('samsara', vin, alarms(vin, ago(120), ['63']));
    expect(await latest(vin)).toMatchObject({
      'reefer.alarms': { value: 1 },
      'reefer.alarms[63]': { value: true },
      'reefer.alarms[63].severity': { value: 'immediate' },
    });
    await send('samsara', vin, alarms(vin, ago(60), []));
    const metrics = await latest(vin);
    expect(Object.keys(metrics).filter((metric) => metric.includes('63'))).toEqual([]);
    expect(metrics['reefer.alarms']).toMatchObject({ value: 0 });
  });

  const door = (vin: string, at: number, open: boolean) => ({
    ident: `d-${vin}`,
    timestamp: at,
    'custom.door.rear.open': open,
  });

  test('of two states of one instant the later in order counts, in one payload as in several', async () => {
    const [together, apart] = [await newVehicle(), await newVehicle()];
    const at = secondsAgo(20);
    const states = [true, false, true, false];
    await send(
      'flespi',
      together,
      states.map((open) => door(together, at, open)),
    );
    for (const open of states.slice(0, 2)) await send('flespi', apart, [door(apart, at, open)]);
    for (const vin of [together, apart])
      expect((await latest(vin))['doors[rear].state']).toMatchObject({ value: 'closed' });
  });

  test('a retry of an older message of the same instant does not bring its values back', async () => {
    const vin = await newVehicle();
    const at = secondsAgo(20);
    const [opened] = [
      await send('flespi', vin, [door(vin, at, true)]),
      await send('flespi', vin, [door(vin, at, false)]),
    ];
    const again = await send('flespi', vin, [door(vin, at, true)]);
    expect(again.recordIds).toEqual(opened.recordIds);
    expect((await latest(vin))['doors[rear].state']).toMatchObject({ value: 'closed' });
  });

  test('a device clock ten minutes ahead freezes neither latest nor when the device was seen', async () => {
    const vin = await newVehicle();
    await send('flespi', vin, [{ ident: 'fast', timestamp: secondsAgo(-600), 'battery.level': 10 }]);
    const ahead = await latest(vin);
    expect(ahead['power.batterySocPct']).toMatchObject({ value: 10 });
    expect(Date.parse(ahead['power.batterySocPct']!.observedAt)).toBeGreaterThan(Date.now());
    const seen = await world.call('GET', `/api/v1/devices/${vin}`, { token: customer });
    expect(Date.parse(seen.json.data[0].lastSeenAt)).toBeLessThanOrEqual(Date.now());
    await send('flespi', vin, [{ ident: 'right', timestamp: Date.now() / 1000, 'battery.level': 20 }]);
    expect((await latest(vin))['power.batterySocPct']).toMatchObject({ value: 20 });
  });

  test('a frame that does not carry a value leaves the one before', async () => {
    const vin = await newVehicle();
    const uplink = (decoded_payload: object, at: string) => ({
      end_device_ids: { device_id: 'yard-07' },
      uplink_message: { decoded_payload, received_at: at },
    });
    await send('the-things-stack', vin, uplink({ temp_c: 21.5, door: 'open' }, ago(120)));
    await send('the-things-stack', vin, uplink({ battery_mv: 3600 }, ago(60)));
    expect(await latest(vin)).toMatchObject({
      'environment.temperatureC': { value: 21.5 },
      'doors[rear].state': { value: 'open' },
      'power.batteryV': { value: 3.6 },
    });
  });
});

describe('times that count from the arrival', () => {
  const pack = (vin: string) => [
    { bn: `urn:vin:${vin}:`, n: 'temperature', u: 'Cel', v: 4 },
    { n: 'humidity', u: '%RH', v: 60, t: -5 },
  ];

  test('the same bytes sent again are the same readings, and the receipt names the one before', async () => {
    const vin = await newVehicle();
    const first = await send('senml', vin, pack(vin));
    const again = await send('senml', vin, pack(vin));
    expect(again.recordIds).toEqual(first.recordIds);
    expect([first.repeats, again.repeats]).toEqual([null, first.receiptId]);
  });

  test('other bytes, or the same for another vehicle, are readings of their own', async () => {
    const [vin, other] = [await newVehicle(), await newVehicle()];
    const first = await send('senml', vin, pack(vin));
    const more = await send('senml', vin, [...pack(vin), { n: 'cargo', u: '%', v: 5 }]);
    const elsewhere = await send('senml', other, pack(vin));
    expect([more.repeats, elsewhere.repeats]).toEqual([null, null]);
    expect(more.recordIds).not.toEqual(first.recordIds);
  });
});

test('a repeated stale fix with a new device time is a new reading, and its sensors count at that time', async () => {
  const vin = await newVehicle();
  const fixTime = ago(3600);
  const message = (deviceTime: string) => ({
    position: {
      ...{ fixTime, deviceTime, serverTime: deviceTime, valid: true, latitude: 39.7, longitude: -86.1 },
      attributes: { temp1: 4.5 },
    },
    device: { uniqueId: `t-${vin}` },
  });
  const [one, two] = [ago(60), ago(30)];
  await send('traccar', vin, message(one));
  await send('traccar', vin, message(two));
  const stored = await records(vin);
  const at = (has: (signals: any) => unknown) =>
    stored.filter(({ signals }) => has(signals)).map(({ observedAt }) => observedAt);
  expect(at((signals) => signals.environment).sort()).toEqual([one, two]);
  expect(at((signals) => signals.gps)).toEqual([fixTime]);
});

test('what the door takes the mapper reads: a byte order mark before the JSON is dropped by both', async () => {
  const vin = await newVehicle();
  const json = JSON.stringify({ unit: { serial: `DS-${vin}` }, reports: [{ at: ago(20), moving: true }] });
  const receipt = await send('deliversafe', vin, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(json)]));
  expect(receipt).toMatchObject({ status: 'processed', recordIds: [expect.any(String)] });
});

test('a product takes the media type that it declares, and another product does not', async () => {
  const vin = await newVehicle();
  const headers = { 'content-type': 'application/senml+json' };
  const pack = [{ bn: `urn:vin:${vin}:`, bt: secondsAgo(60), n: 'temperature', u: 'Cel', v: 4 }];
  expect(await send('senml', vin, pack, headers)).toMatchObject({ status: 'processed' });
  const refused = await world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
    ...{ token: tokens.get('flespi') ?? '', body: '[]', headers },
  });
  expect(refused.json).toMatchObject({ status: 415, code: 'unsupported-media-type' });
});

test('a receipt says of every leaf what became of it, and of nothing taken what was there', async () => {
  const vin = await newVehicle();
  const taken = await send('flespi', vin, [
    { ident: 'd', timestamp: secondsAgo(5), 'battery.level': 50, 'battery.levle': 51, 'vehicle.mileage': null },
  ]);
  expect(taken.leaves).toEqual({
    ...{ taken: 3, skipped: 0, leftOut: 1, rejected: 0, unused: 1 },
    ...{ leftOutPaths: ['/*/vehicle.mileage'], unusedPaths: ['/*/battery.levle'] },
  });
  const nothing = await send('samsara', vin, { data: [{ obdOdometerMeters: [{ time: ago(60), value: 1 }] }] });
  expect(nothing).toMatchObject({ status: 'nothing-taken', recordIds: [], rejectsTotal: 1 });
  expect(nothing.rejects[0]).toMatchObject({ refused: 'payload', code: 'nothing-taken' });
  expect(nothing.rejects[0].found).toContain('/data/*/obdOdometerMeters/*/value');
});

test('the first hundred rejects are listed, and all are counted', async () => {
  const vin = await newVehicle();
  const receipt = await send(
    'project44',
    vin,
    Array.from({ length: 250 }, () => ({ vin: 'none' })),
  );
  expect(receipt).toMatchObject({ status: 'rejected', rejectsTotal: 250 });
  expect(receipt.rejects).toHaveLength(100);
});
