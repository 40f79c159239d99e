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
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Answer, CUSTOMER_SCOPES } from '../app.ts';
import { expectToMatch, vinOf } from '../customer-api.ts';
import { holdFleets, type LimitedWorld, openLimitedWorld } from '../limits/limited-world.ts';
import { createSubscription, subscribe } from '../live-feed.ts';
import { send } from '../people.ts';

/** The customer's document, sentence by sentence, as a customer would try it. */
const AUTHENTICATE = '/api/v1/customers/authenticate';
const ROTATE = '/api/v1/customers/rotate';
const RECORDS = 5;
const UNKNOWN = '01920000-0000-7000-8000-000000000000';
const ids = { fleet: '', trailer: '', retired: '', device: '', unit: '' };
const vins = { trailer: vinOf(1), unit: vinOf(4) };

let world: LimitedWorld;

beforeAll(async () => {
  world = await openLimitedWorld();
  const { registry, customerId: own } = world;
  ids.fleet = (await registry.createFleet(own, { name: 'North' })).id;
  for (const name of ['East', 'South', 'West']) await registry.createFleet(own, { name });
  const inFleet = { fleetId: ids.fleet };
  ids.trailer = (await registry.createTrailer(own, { vin: vins.trailer, name: 'T-1', ...inFleet })).id;
  ids.retired = (await registry.createTrailer(own, { vin: vinOf(2), name: 'T-2', ...inFleet })).id;
  await registry.createTrailer(own, { vin: vinOf(3), name: 'T-3', ...inFleet });
  ids.unit = (await registry.createDeliverSafeUnit(own, { vin: vins.unit, name: 'D-1', serialNumber: 'DS-1' })).id;
  await registry.createDeliverSafeUnit(own, { vin: vinOf(5), name: 'D-2', serialNumber: 'DS-2' });
  await send(world, 'DELETE', `/organizations/customer/trailers/${ids.retired}`, undefined, world.operator);
  const reports = Array.from({ length: RECORDS }, (_, at) => ({
    at: new Date(Date.now() - (at + 1) * 60_000).toISOString(),
    position: { latitude: 39.7684, longitude: -86.1581 },
  }));
  const token = await world.partnerToken('deliversafe');
  for (const vin of Object.values(vins)) {
    const payload = JSON.stringify({ unit: { serial: `DS-${vin}` }, reports });
    const sent = await world.submit(token, vin, { payload });
    expect((await world.settled(token, sent.json.receiptId)).status).toBe('processed');
  }
  ids.device = (await get(`/devices/${ids.trailer}`)).json.data[0].id;
});

const keyOf = (organizationId = world.customerId) => world.issueKey(organizationId, 'customer', CUSTOMER_SCOPES);
const trade = (key: string) => world.call('POST', AUTHENTICATE, { headers: { 'x-api-key': key } });
const tokenOf = async (organizationId?: string) =>
  (await trade(await keyOf(organizationId))).json.accessToken as string;
const get = async (path: string, token?: string) =>
  world.call('GET', `/api/v1${path}`, { token: token ?? (await tokenOf()) });

function expectProblem(answer: Answer, status: number): void {
  expect([answer.status, answer.json?.status]).toEqual([status, status]);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
}

/** Every item, page by page of `take`, following `next` until there is none. */
async function walk(path: string, take: number): Promise<any[]> {
  const token = await tokenOf();
  const items: any[] = [];
  for (let next: string | null = ''; next !== null; ) {
    const answer = await get(`${path}${path.includes('?') ? '&' : '?'}take=${take}${next && `&next=${next}`}`, token);
    expect(answer.status, answer.text).toBe(200);
    items.push(...answer.json.data);
    next = answer.json.next;
    if (next !== null) expect(answer.json.data).toHaveLength(take);
  }
  return items;
}

test('2.1 POST /api/v1/customers/authenticate with X-API-KEY gives a JWT that is valid for 1800 s', async () => {
  const { status, json } = await trade(await keyOf());
  const { aud, iat, exp } = decodeJwt(json.accessToken);
  expect([status, json.tokenType, json.expiresIn, aud, exp! - iat!]).toEqual([200, 'Bearer', 1_800, 'customer', 1_800]);
});

test('2.2 the curl commands of the quickstart work as they stand: /api/v1/fleets/?take=50 with Bearer', async () => {
  const { status, json } = await get('/fleets/?take=50');
  expect(status).toBe(200);
  expectToMatch(FleetPageSchema, json);
});

test('2.3 the rotation of a key is protected by the JWT and, of a compromised key, ends it at once', async () => {
  const key = await keyOf();
  const token = (await trade(key)).json.accessToken as string;
  expectProblem(await world.call('PUT', ROTATE), 401);
  const rotated = await world.call('PUT', ROTATE, { token });
  expect(rotated.status).toBe(200);
  expectProblem(await trade(key), 401);
  expectProblem(await get('/fleets', token), 401);
  expect((await trade(rotated.json.key)).status).toBe(200);
});

test('2.4 ten authentications in five minutes, three rotations an hour', async () => {
  await world.beginWindow(3_600);
  let key = await keyOf();
  for (let traded = 0; traded < 10; traded += 1) expect((await trade(key)).status).toBe(200);
  expectProblem(await trade(key), 429);
  await world.pass(300);
  for (let rotated = 0; rotated < 3; rotated += 1)
    key = (await world.call('PUT', ROTATE, { token: (await trade(key)).json.accessToken })).json.key;
  expectProblem(await world.call('PUT', ROTATE, { token: (await trade(key)).json.accessToken }), 429);
});

test('2.5 with Authorization: Bearer fleets, trailers, devices, DeliverSafe and telemetry in scope are queried, and nothing else', async () => {
  for (const scope of ['fleets:read', 'trailers:read', 'devices:read', 'deliversafe:read']) {
    const token = await world.token(world.customerId, 'customer', [scope]);
    const room = scope.split(':')[0]!;
    const paths = ['/fleets', `/trailers/${ids.fleet}`, `/devices/${ids.trailer}`, '/deliversafe'];
    for (const path of paths)
      expect([scope, path, (await get(path, token)).status]).toEqual([
        scope,
        path,
        path.startsWith(`/${room}`) ? 200 : 403,
      ]);
    expectProblem(await get(`/trailers/telemetry/gps/${ids.trailer}`, token), 403);
  }
});

test('2.6 take and next page every list; the answer has next when more data is available, and null when not', async () => {
  for (const [path, items] of [
    ['/fleets', 4],
    [`/trailers/${ids.fleet}`, 3],
    [`/devices/${ids.trailer}`, 1],
    ['/deliversafe', 2],
    [`/trailers/telemetry/gps/${ids.trailer}`, RECORDS],
    [`/devices/telemetry/${ids.device}`, RECORDS],
    [`/deliversafe/telemetry/${ids.unit}`, RECORDS],
  ] as const) {
    for (const take of [1, 2, 500]) {
      const found = await walk(path, take);
      expect([path, take, found.length, new Set(found.map(({ id, recordId }) => id ?? recordId)).size]).toEqual([
        path,
        take,
        items,
        items,
      ]);
    }
    for (const take of ['0', '501', 'x', '1.5']) expectProblem(await get(`${path}?take=${take}`), 400);
    expectProblem(await get(`${path}?next=x`), 400);
  }
});

test('2.7 telemetry is paged by time: from, to and order', async () => {
  const now = Date.now();
  const from = new Date(now - 3.5 * 60_000).toISOString();
  for (const path of [
    `/trailers/telemetry/gps/${ids.trailer}`,
    `/devices/telemetry/${ids.device}`,
    `/deliversafe/telemetry/${ids.unit}`,
  ]) {
    const all = await walk(path, 2);
    const instants = all.map(({ observedAt }) => observedAt as string);
    expect(instants).toEqual([...instants].sort());
    const since = instants.filter((instant) => instant >= from);
    expect((await walk(`${path}?from=${from}`, 2)).map(({ observedAt }) => observedAt)).toEqual(since);
    expect((await walk(`${path}?to=${from}`, 2)).map(({ observedAt }) => observedAt)).toEqual(
      instants.filter((one) => one < from),
    );
    expect((await walk(`${path}?order=desc`, 2)).map(({ observedAt }) => observedAt)).toEqual([...instants].reverse());
    expectProblem(await get(`${path}?from=${from}&to=${from}`), 400);
  }
});

test('2.8 GET /api/v1/fleets and /api/v1/fleets/{fleet}, with and without a trailing slash', async () => {
  for (const slash of ['', '/']) {
    expectToMatch(FleetPageSchema, (await get(`/fleets${slash}`)).json);
    const one = await get(`/fleets/${ids.fleet}${slash}`);
    expectToMatch(FleetSchema, one.json);
    expect(one.json).toMatchObject({ id: ids.fleet, name: 'North' });
  }
});

test('2.9 GET /api/v1/trailers/{fleet} with activeOnly, and /api/v1/trailers/{trailer}', async () => {
  for (const slash of ['', '/']) {
    const page = await get(`/trailers/${ids.fleet}${slash}`);
    expectToMatch(TrailerPageSchema, page.json);
    expect(page.json.data.map(({ id }: any) => id)).toContain(ids.retired);
    const active = await get(`/trailers/${ids.fleet}${slash}?activeOnly=true`);
    expect(active.json.data).toEqual(page.json.data.filter(({ isActive }: any) => isActive));
    expect(active.json.data).toHaveLength(2);
    for (const name of [ids.trailer, vins.trailer]) {
      const one = await get(`/trailers/${name}${slash}`);
      expectToMatch(TrailerSchema, one.json);
      expect(one.json.id).toBe(ids.trailer);
    }
  }
});

test('2.10 GET /api/v1/devices/{trailer} with activeOnly, and /api/v1/devices/details/{device}', async () => {
  for (const slash of ['', '/']) {
    for (const query of ['', '?activeOnly=true', '?activeOnly=false&take=1']) {
      const page = await get(`/devices/${ids.trailer}${slash}${query}`);
      expectToMatch(DevicePageSchema, page.json);
      expect(page.json.data.map(({ id }: any) => id)).toEqual([ids.device]);
    }
    const one = await get(`/devices/details/${ids.device}${slash}`);
    expectToMatch(DeviceSchema, one.json);
    expect(one.json).toMatchObject({ id: ids.device, assetId: ids.trailer });
  }
});

test('2.11 GET /api/v1/deliversafe and /api/v1/deliversafe/{id}', async () => {
  for (const slash of ['', '/']) {
    expectToMatch(DeliverSafePageSchema, (await get(`/deliversafe${slash}?take=1`)).json);
    const one = await get(`/deliversafe/${ids.unit}${slash}`);
    expectToMatch(DeliverSafeUnitSchema, one.json);
    expect(one.json.id).toBe(ids.unit);
  }
});

test('2.12 the telemetry of trailers (GPS), devices and DeliverSafe units, with and without a trailing slash', async () => {
  for (const slash of ['', '/']) {
    const gps = await get(`/trailers/telemetry/gps/${ids.trailer}${slash}`);
    for (const { signals } of gps.json.data)
      expect(signals.gps).toMatchObject({ latitude: 39.7684, longitude: -86.1581 });
    for (const path of [`/devices/telemetry/${ids.device}`, `/deliversafe/telemetry/${ids.unit}`])
      expect([path, (await get(`${path}${slash}`)).json.data.length]).toEqual([path, RECORDS]);
    expect(gps.json.data).toHaveLength(RECORDS);
  }
});

test('2.13 401 without a valid JWT, 403 for insufficient permissions, 404 for what is not there, 400 for what is not valid', async () => {
  const partner = await world.partnerToken('traccar');
  const paths = [
    '/fleets',
    `/fleets/${UNKNOWN}`,
    `/trailers/${UNKNOWN}`,
    `/trailers/telemetry/gps/${UNKNOWN}`,
    `/devices/${UNKNOWN}`,
    `/devices/details/${UNKNOWN}`,
    `/devices/telemetry/${UNKNOWN}`,
    '/deliversafe',
    `/deliversafe/${UNKNOWN}`,
    `/deliversafe/telemetry/${UNKNOWN}`,
  ];
  const token = await tokenOf();
  for (const path of paths) {
    expectProblem(await world.call('GET', `/api/v1${path}`), 401);
    expectProblem(await get(path, 'nonsense'), 401);
    expectProblem(await get(path, partner), 403);
    if (path.includes(UNKNOWN)) expectProblem(await get(path, token), 404);
    else expectProblem(await get(`${path}?take=x`, token), 400);
  }
});

test('2.14 500 is a problem, without a word about the inside', async () => {
  const token = await tokenOf();
  const { owner } = world.app.backends.database;
  await sql`alter table fleet rename to fleet_away`.execute(owner);
  const answer = await get('/fleets', token);
  await sql`alter table fleet_away rename to fleet`.execute(owner);
  expectProblem(answer, 500);
  expect(answer.text).not.toMatch(/fleet|select|relation|\.ts/);
});

/** A world of its own, whose bucket nobody has taken from, on this plan. */
async function openOnPlan(plan: object) {
  const own = await openLimitedWorld();
  await own.setPlan(plan);
  const tokenFor = (organizationId: string) => own.token(organizationId, 'customer', CUSTOMER_SCOPES);
  const [customer, rival] = [await tokenFor(own.customerId), await tokenFor(own.rivalId)];
  const fleets = (token: string) => own.call('GET', '/api/v1/fleets', { token });
  return { own, customer, rival, fleets };
}

test('2.15 the bucket starts full, so that a burst up to the plan passes, and refills every second to its capacity', async () => {
  const { own, customer, fleets } = await openOnPlan({ readCapacity: 5, readRefillPerSecond: 0.2 });
  const burst = async () => {
    for (let passed = 0; ; passed += 1) {
      const answer = await fleets(customer);
      if (answer.status !== 200) return { passed, refused: answer };
    }
  };
  // What comes back while the test runs is added.
  const { passed, refused } = await burst();
  expect(passed).toBeGreaterThanOrEqual(5);
  expectProblem(refused, 429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  await own.pass(10);
  expect((await burst()).passed).toBeGreaterThanOrEqual(2);
  await own.pass(600);
  expect((await fleets(customer)).headers.get('ratelimit')).toMatch(/^"read";r=4;/);
});

test('2.16 limits are per customer: what one uses up, another does not miss', async () => {
  const { customer, rival, fleets } = await openOnPlan({ readCapacity: 1, readRefillPerSecond: 0.001 });
  expect([(await fleets(customer)).status, (await fleets(customer)).status]).toEqual([200, 429]);
  expect((await fleets(rival)).status).toBe(200);
});

test('2.17 requests beyond the concurrency of the plan are delayed, or receive 429', async () => {
  const plan = { concurrentRequestsMax: 1, waitMsMax: 10_000, waitingRequestsMax: 1 };
  const { own, customer, fleets } = await openOnPlan(plan);
  const release = await holdFleets(own);
  const asked = [1, 2, 3, 4].map(() => fleets(customer));
  // One is answered and one delayed until there is room; the others are told at once.
  const refused = await Promise.race(asked);
  expectProblem(refused, 429);
  expect(refused.json.code).toBe('too-many-concurrent-requests');
  await release();
  expect((await Promise.all(asked)).map(({ status }) => status).sort()).toEqual([200, 200, 429, 429]);
});

test('2.18 LiveFeed streams updates over gRPC, with the same token', async () => {
  const client = new Client(`127.0.0.1:${world.app.grpcPort}`, credentials.createInsecure());
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${await tokenOf()}`);
  const subscription = createSubscription(subscribe(client, { snapshot: true }, metadata));
  await subscription.begun();
  subscription.stream.cancel();
});
