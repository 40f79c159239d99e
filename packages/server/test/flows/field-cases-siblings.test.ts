import { beforeAll, describe, expect, test } from 'vitest';
import { CUSTOMER_SCOPES, openTestApp, type TestApp } from '../app.ts';

/**
 * Siblings of what stands in `field-cases.test.ts`: what payloads become over the whole server, where it takes several of
 * them, a store or the wire to tell. What one payload becomes by itself stands in `products/<product>/fixtures`. One server
 * for the file; each test has vehicles and devices of its own.
 */
let world: TestApp;
let customer: string;
const partners = new Map<string, string>();
let last = 0;

beforeAll(async () => {
  world = await openTestApp();
  customer = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
});

async function partnerOf(product: string): Promise<string> {
  const known = partners.get(product);
  if (known !== undefined) return known;
  const token = await world.token(world.operatorId, 'partner', ['telemetry:write', `product:${product}`]);
  partners.set(product, token);
  return token;
}

async function registerTrailer(organizationId = world.customerId): Promise<string> {
  const vin = `1FC${String((last += 1)).padStart(14, '0')}`;
  await world.registry.createTrailer(organizationId, { vin, name: vin });
  return vin;
}

type Body = string | Uint8Array<ArrayBuffer>;

async function post(product: string, vin: string, body: Body, headers: Record<string, string> = {}) {
  return world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
    token: await partnerOf(product),
    body,
    headers: { 'content-type': 'application/json', ...headers },
  });
}

/** Sends a payload and gives its receipt. */
async function send(product: string, vin: string, payload: unknown, headers: Record<string, string> = {}) {
  const body = typeof payload === 'string' || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
  const answer = await post(product, vin, body as Body, headers);
  expect(answer.status, answer.text).toBe(202);
  return world.settled(await partnerOf(product), answer.json.receiptId);
}

const read = async (path: string, token = customer) => (await world.call('GET', `/api/v1${path}`, { token })).json;

async function recordsOf(vin: string, token = customer): Promise<any[]> {
  const { id } = await read(`/trailers/${vin}`, token);
  const found: any[] = [];
  for (let page = await read('/telemetry/feed?take=500', token); page.data.length > 0; ) {
    found.push(...page.data.filter((record: any) => record.assetId === id));
    page = await read(`/telemetry/feed?take=500&next=${encodeURIComponent(page.next)}`, token);
  }
  return found;
}

/** The latest value of each metric by its name. */
async function latestOf(vin: string): Promise<Record<string, unknown>> {
  const { metrics } = (await read(`/telemetry/latest?trailer=${vin}`)).data[0] ?? { metrics: {} };
  return Object.fromEntries(Object.entries<any>(metrics).map(([metric, { value }]) => [metric, value]));
}

const atSecond = () => Math.floor(Date.now() / 1000);
const instant = (secondsAgo: number) => new Date((atSecond() - secondsAgo) * 1000).toISOString();

const report = (vin: string, secondsAgo: number, said: object) => ({
  unit: { serial: `DS-${vin}` },
  reports: [{ at: instant(secondsAgo), ...said }],
});
const fix = { position: { latitude: 39.7, longitude: -86.1 } };

const message = (vin: string, timestamp: number, said: object) => ({ ident: `device-${vin}`, timestamp, ...said });
const door = (isOpen: boolean) => ({ 'custom.door.rear.open': isOpen });

const alarmPage = (vin: string, secondsAgo: number, alarms: unknown, serial = `serial-${vin}`) => ({
  data: [
    {
      id: '281474981110337',
      externalIds: { 'samsara.vin': vin, 'samsara.serial': serial },
      reeferAlarms: [{ time: instant(secondsAgo), alarms }],
    },
  ],
});

const uplink = (decoded: object, secondsAgo: number) => ({
  end_device_ids: { device_id: 'yard-07' },
  uplink_message: { decoded_payload: decoded, received_at: instant(secondsAgo) },
});

describe('the latest values', () => {
  test('keep an alarm up when a later list cannot be read: that does not say that nothing is up', async () => {
    const vin = await registerTrailer();
    await send('samsara', vin, alarmPage(vin, 120, [{ alarmCode: '63', severity: 3 }]));
    for (const unreadable of [[{ severity: 3 }], [null], { alarmCode: '63' }, 'none', null]) {
      expect(await send('samsara', vin, alarmPage(vin, 60, unreadable))).toMatchObject({ status: 'rejected' });
    }
    expect(await latestOf(vin)).toMatchObject({ 'reefer.alarms': 1, 'reefer.alarms[63]': true });
  });

  test('keep the alarms of one device when another one has none', async () => {
    const vin = await registerTrailer();
    await send('samsara', vin, alarmPage(vin, 120, [{ alarmCode: '63', severity: 3 }], 'one'));
    await send('samsara', vin, alarmPage(vin, 60, [], 'other'));
    expect(await latestOf(vin)).toMatchObject({ 'reefer.alarms[63]': true });
  });

  test('keep the last good one when a value is left out, and say so in the record', async () => {
    const vin = await registerTrailer();
    await send('the-things-stack', vin, uplink({ temp_c: -18, battery_mv: 3600 }, 120));
    const receipt = await send('the-things-stack', vin, uplink({ temp_c: 200.3, battery_mv: 3590 }, 60));
    expect(receipt).toMatchObject({
      status: 'partly-rejected',
      rejects: [{ refused: 'value', code: 'out-of-bounds' }],
    });
    expect(await latestOf(vin)).toEqual({ 'environment.temperatureC': -18, 'power.batteryV': 3.59 });
    expect((await recordsOf(vin)).at(-1)).toMatchObject({ states: { 'environment.temperatureC': 'implausible' } });
  });
});

describe('the same thing twice', () => {
  test('in one batch is one record, and its id stands in the receipt twice', async () => {
    const vin = await registerTrailer();
    const unit = { device_id: vin, vin, unit_type: 'trailer', timestamp: atSecond() - 30, speed: 50, moving: true };
    const receipt = await send('project44', vin, [unit, unit]);
    expect(receipt).toMatchObject({ status: 'processed', recordIds: [receipt.recordIds[0], receipt.recordIds[0]] });
    expect(await recordsOf(vin)).toHaveLength(1);
  });

  const relative = (vin: string) => [
    { bn: `urn:vin:${vin}:`, n: 'temperature', u: 'Cel', v: 4 },
    { n: 'humidity', u: '%RH', v: 60, t: -5 },
  ];

  test('with times that count from the arrival and an Idempotency-Key of its own is a reading of its own', async () => {
    const vin = await registerTrailer();
    const first = await send('senml', vin, relative(vin), { 'idempotency-key': `${vin}-1` });
    const second = await send('senml', vin, relative(vin), { 'idempotency-key': `${vin}-2` });
    expect(second.repeats).toBeNull();
    expect(second.recordIds).not.toEqual(first.recordIds);
    const retried = await send('senml', vin, relative(vin), { 'idempotency-key': `${vin}-2` });
    expect(retried.receiptId).toBe(second.receiptId);
    expect(await recordsOf(vin)).toHaveLength(4);
  });
});

test('a null in one entry gives nobody a reading of a vehicle of another organization', async () => {
  const own = await registerTrailer();
  const foreign = await registerTrailer(world.rivalId);
  const receipt = await send('senml', own, [
    { bn: `urn:vin:${own}:`, bt: atSecond() - 600, n: 'temperature', u: 'Cel', v: -18 },
    { bn: `urn:vin:${foreign}:`, bt: atSecond() - 60, n: 'temperature', u: 'Cel', v: 21, ut: null },
    { n: 'lat', u: 'lat', v: 48.1 },
    { n: 'lon', u: 'lon', v: 11.5 },
  ]);
  expect(receipt).toMatchObject({ status: 'partly-rejected', rejects: [{ refused: 'element', element: '/1' }] });
  expect((await recordsOf(own)).map(({ signals }) => signals)).toEqual([{ environment: { temperatureC: -18 } }]);
  const rival = await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES);
  expect((await recordsOf(foreign, rival)).map(({ signals }) => signals)).toEqual([
    { gps: { latitude: 48.1, longitude: 11.5 } },
  ]);
});

test('a GPS page has whole positions alone', async () => {
  const vin = await registerTrailer();
  const at = atSecond() - 60;
  const receipt = await send('flespi', vin, [
    message(vin, at, { 'position.latitude': 39.7, 'position.speed': 40, 'battery.level': 50 }),
    message(vin, at + 1, { 'position.latitude': 0, 'position.longitude': 0, 'battery.level': 50 }),
    message(vin, at + 2, { 'position.speed': 40 }),
    message(vin, at + 3, { 'position.latitude': 39.7, 'position.longitude': -86.1 }),
  ]);
  expect(receipt.rejects.map(({ code }: { code: string }) => code)).toEqual([
    'position-incomplete',
    'position-implausible',
  ]);
  expect(await recordsOf(vin)).toHaveLength(4);
  const { data } = await read(`/trailers/telemetry/gps/${vin}`);
  expect(data.map((record: any) => record.signals.gps)).toEqual([{ latitude: 39.7, longitude: -86.1 }]);
});

test('a receipt says processed where the product leaves a message out on purpose', async () => {
  const vin = await registerTrailer();
  const join = { end_device_ids: { device_id: 'yard-07' }, join_accept: { received_at: instant(1) } };
  const receipt = await send('the-things-stack', vin, join);
  expect(receipt).toMatchObject({ status: 'processed', skipped: 1, recordIds: [], leaves: { skipped: 2 } });
});

describe('on the wire', () => {
  test('a body in UTF-16 and NaN as a token are refused, and nothing of them is stored', async () => {
    const vin = await registerTrailer();
    const wide = new Uint8Array(Buffer.from(JSON.stringify(report(vin, 20, fix)), 'utf16le'));
    const utf16 = await post('deliversafe', vin, wide, { 'content-type': 'application/json; charset=utf-16' });
    expect([utf16.status, utf16.json.code]).toEqual([400, 'malformed-json']);
    const nan = `[{"ident":"x","timestamp":${atSecond()},"position.latitude":NaN,"position.longitude":1}]`;
    const token = await post('flespi', vin, nan);
    expect([token.status, token.json.code]).toEqual([400, 'malformed-json']);
    expect(await recordsOf(vin)).toEqual([]);
  });

  test('however the VIN of the path is written, it is one vehicle and one record', async () => {
    const vin = await registerTrailer();
    const payload = report(vin, 20, fix);
    const spellings = [vin, vin.toLowerCase(), `${vin}%0A`, `%20${vin}%20`, `${vin}/`];
    const ids = new Set<string>();
    for (const spelling of spellings) {
      for (const id of (await send('deliversafe', spelling, payload)).recordIds) ids.add(id);
    }
    expect(ids.size).toBe(1);
    expect(await recordsOf(vin)).toHaveLength(1);
  });

  test('however a device is named, with a newline or spaces around it, it is one device', async () => {
    const vin = await registerTrailer();
    const named = (ident: unknown, secondsAgo: number) => [
      { ident, timestamp: atSecond() - secondsAgo, ...door(true) },
    ];
    const spellings = [350000000000003, '350000000000003', ' 350000000000003', '350000000000003\r\n'];
    for (const [index, ident] of spellings.entries()) await send('flespi', vin, named(ident, 60 - index));
    expect(await send('flespi', vin, named('   ', 30))).toMatchObject({ status: 'rejected' });
    expect((await read(`/devices/${vin}`)).data).toMatchObject([{ externalId: '350000000000003' }]);
  });
});
