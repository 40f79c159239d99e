import { systemIds } from '@gladhand/base/ids.ts';
import { ProblemSchema } from '@gladhand/contract/problem.ts';
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
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type CustomerApi, comparable, expectToMatch, openCustomerApi, vinOf, walk } from '../../test/customer-api.ts';

let api: CustomerApi;
const ids = { fleet: '', trailer: '', retired: '', device: '', unit: '', twin: '' };
const foreign = { fleet: '', trailer: '', device: '', unit: '' };

beforeAll(async () => {
  api = await openCustomerApi();
  const { registry, own } = api;
  ids.fleet = (await registry.createFleet(own, { name: 'North' })).id;
  await registry.createFleet(own, { name: 'South' });
  ids.trailer = (
    await registry.createTrailer(own, { vin: vinOf(1).toLowerCase(), name: 'T-1', fleetId: ids.fleet })
  ).id;
  ids.retired = (await registry.createTrailer(own, { vin: vinOf(2), name: 'T-2', fleetId: ids.fleet })).id;
  await registry.createTrailer(own, { vin: vinOf(3), name: 'T-3' });
  ids.unit = (await registry.createDeliverSafeUnit(own, { vin: vinOf(4), name: 'D-1', serialNumber: 'DS 0001' })).id;
  ids.twin = (await registry.createDeliverSafeUnit(own, { vin: vinOf(5), name: 'D-2', serialNumber: 'TWIN' })).id;
  await registry.createDeliverSafeUnit(own, { vin: vinOf(6), name: 'D-3', serialNumber: 'TWIN' });
  const device = { assetId: ids.trailer, product: 'traccar', externalId: '356', kind: 'gateway' };
  ids.device = (await registry.createDevice(own, device)).id;
  const old = await registry.createDevice(own, { ...device, externalId: '357' });
  const { owner: kysely } = api.database;
  await kysely.updateTable('asset').set({ is_active: false }).where('id', '=', ids.retired).execute();
  await kysely.updateTable('device').set({ is_active: false }).where('id', '=', old.id).execute();

  foreign.fleet = (await registry.createFleet(api.foreign, { name: 'Elsewhere' })).id;
  foreign.trailer = (
    await registry.createTrailer(api.foreign, { vin: vinOf(90), name: 'F-1', fleetId: foreign.fleet })
  ).id;
  foreign.unit = (
    await registry.createDeliverSafeUnit(api.foreign, { vin: vinOf(91), name: 'F-2', serialNumber: 'DS 0090' })
  ).id;
  foreign.device = (await registry.createDevice(api.foreign, { ...device, assetId: foreign.trailer })).id;
});

describe('what an organization owns is answered as its schemas say', () => {
  test('fleets, as a page and one by one, also with a trailing slash', async () => {
    const page = await api.get('/fleets/?take=50');
    expect(page.status).toBe(200);
    expectToMatch(FleetPageSchema, page.body);
    expect(page.body).toMatchObject({ data: [{ name: 'North' }, { name: 'South' }], next: null });
    const one = await api.get(`/fleets/${ids.fleet}/`);
    expectToMatch(FleetSchema, one.body);
    expect(one.body).toEqual(page.body.data[0]);
  });

  test("one path gives a fleet's trailers by the fleet's id and a trailer by its id or VIN in either case", async () => {
    const page = await api.get(`/trailers/${ids.fleet}`);
    expectToMatch(TrailerPageSchema, page.body);
    expect(page.body.data.map((trailer: { id: string }) => trailer.id)).toEqual([ids.trailer, ids.retired]);
    for (const name of [ids.trailer, ids.trailer.toUpperCase(), vinOf(1), vinOf(1).toLowerCase()]) {
      const one = await api.get(`/trailers/${name}`);
      expect(one.status).toBe(200);
      expectToMatch(TrailerSchema, one.body);
      expect(one.body).toEqual(page.body.data[0]);
    }
    expect(page.body.data[0]).toMatchObject({ vin: vinOf(1), fleetId: ids.fleet, name: 'T-1', unitNumber: null });
  });

  test('activeOnly leaves out what was taken out of service, and only then', async () => {
    const idsOf = async (path: string) => (await api.get(path)).body.data.map((item: { id: string }) => item.id);
    expect(await idsOf(`/trailers/${ids.fleet}?activeOnly=true`)).toEqual([ids.trailer]);
    expect(await idsOf(`/trailers/${ids.fleet}?activeOnly=false`)).toHaveLength(2);
    expect(await idsOf(`/devices/${ids.trailer}?activeOnly=true`)).toEqual([ids.device]);
    expect(await idsOf(`/devices/${ids.trailer}`)).toHaveLength(2);
    expect((await api.get(`/trailers/${ids.retired}`)).body).toMatchObject({ isActive: false });
  });

  test('devices of a trailer by its id or VIN, and one by one', async () => {
    const page = await api.get(`/devices/${ids.trailer}`);
    expectToMatch(DevicePageSchema, page.body);
    expect((await api.get(`/devices/${vinOf(1).toLowerCase()}`)).body).toEqual(page.body);
    const one = await api.get(`/devices/details/${ids.device}`);
    expectToMatch(DeviceSchema, one.body);
    expect(one.body).toMatchObject({ assetId: ids.trailer, product: 'traccar', externalId: '356', lastSeenAt: null });
    expect((await api.get(`/devices/${ids.unit}`)).body).toEqual({ data: [], next: null });
  });

  test('DeliverSafe units as a page, and one by id, VIN or a serial number only it has', async () => {
    const page = await api.get('/deliversafe?take=500');
    expectToMatch(DeliverSafePageSchema, page.body);
    expect(page.body.data).toHaveLength(3);
    for (const name of [ids.unit, vinOf(4), vinOf(4).toLowerCase(), 'DS%200001']) {
      const one = await api.get(`/deliversafe/${name}`);
      expect(one.status).toBe(200);
      expectToMatch(DeliverSafeUnitSchema, one.body);
      expect(one.body).toMatchObject({ id: ids.unit, serialNumber: 'DS 0001', vin: vinOf(4) });
    }
    expect((await api.get('/deliversafe/TWIN')).status).toBe(404);
    expect((await api.get(`/deliversafe/${ids.twin}`)).status).toBe(200);
  });
});

test('a list of any length, walked in pages of any size, gives every item exactly once and in order', async () => {
  let made = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 1, max: 26 }), async (count, take) => {
      const fleet = await api.registry.createFleet(api.own, { name: `Walk ${made}` });
      const expected: string[] = [];
      for (let n = 0; n < count; n += 1) {
        made += 1;
        const trailer = { vin: vinOf(1_000 + made), name: `W-${made}`, fleetId: fleet.id };
        expected.push((await api.registry.createTrailer(api.own, trailer)).id);
      }
      const walked = await walk(api, `/trailers/${fleet.id}`, take);
      expect(walked.map((trailer) => trailer.id)).toEqual(expected);
    }),
    { numRuns: 25 },
  );
  const everything = await walk(api, '/fleets', 500);
  for (const take of [1, 3, everything.length]) expect(await walk(api, '/fleets', take)).toEqual(everything);
  expect(await walk(api, '/deliversafe', 1)).toHaveLength(3);
  expect(await walk(api, `/devices/${ids.trailer}`, 1)).toHaveLength(2);
});

test("what is another organization's, what does not exist and what is no id are one and the same 404", async () => {
  const unknown = systemIds.uuid();
  const malformed = [
    'x',
    '%00',
    '%F0%9F%9A%9B',
    "1'%20or%20'1'='1",
    '..%2F..',
    unknown.slice(1),
    vinOf(7).replace('G', 'I'),
  ];
  const paths: Array<[prefix: string, foreignNames: string[]]> = [
    ['/fleets/', [foreign.fleet]],
    ['/trailers/', [foreign.fleet, foreign.trailer, vinOf(90), foreign.unit, foreign.device]],
    ['/devices/', [foreign.trailer, vinOf(90), foreign.unit, vinOf(91)]],
    ['/devices/details/', [foreign.device, foreign.trailer]],
    ['/deliversafe/', [foreign.unit, vinOf(91), 'DS%200090', foreign.trailer, ids.trailer]],
    ['/trailers/telemetry/gps/', [foreign.trailer, vinOf(90), ids.unit]],
    ['/devices/telemetry/', [foreign.device]],
    ['/deliversafe/telemetry/', [foreign.unit, vinOf(91), 'DS%200090', ids.trailer]],
    ['/telemetry/latest?fleet=', [foreign.fleet]],
    ['/telemetry/latest?trailer=', [foreign.trailer, vinOf(90)]],
    ['/telemetry/feed?fleet=', [foreign.fleet]],
  ];
  for (const [prefix, names] of paths) {
    const reference = await api.get(`${prefix}${unknown}`);
    expect(reference.status, prefix).toBe(404);
    expect(reference.contentType).toContain('application/problem+json');
    expectToMatch(ProblemSchema, reference.body);
    for (const name of [...names, vinOf(7), ...malformed]) {
      expect(comparable(await api.get(`${prefix}${name}`)), `${prefix}${name}`).toBe(comparable(reference));
    }
  }
  for (const [prefix, names] of paths.slice(0, 5)) {
    expect((await api.get(`${prefix}${names[0]}`, 'foreign')).status).toBe(200);
  }
});

describe('a request that is not right is refused in words, with its place', () => {
  test.each([
    ['/fleets?take=0', '/query/take', 'must be 1 or more'],
    ['/fleets?take=-1', '/query/take', 'must be 1 or more'],
    ['/fleets?take=100000', '/query/take', 'must be 500 or less'],
    ['/fleets?take=1e99', '/query/take', 'must be'],
    ['/fleets?take=ten', '/query/take', 'must be a whole number'],
    ['/fleets?take=', '/query/take', 'must be a whole number'],
    ['/fleets?take=2.5', '/query/take', 'must be a whole number'],
    ['/fleets?take=5&take=6', '/query/take', 'must be a whole number'],
    ['/fleets?limit=10', '/query/limit', 'is not known here'],
    ['/fleets?__proto__=10', '/query/__proto__', 'is not known here'],
    ['/fleets?activeOnly=true', '/query/activeOnly', 'is not known here'],
    ['/fleets?next=', '/query/next', '1 character or more'],
  ])('%s', async (path, pointer, words) => {
    const answer = await api.get(path);
    expect(answer.status, answer.text).toBe(400);
    expectToMatch(ProblemSchema, answer.body);
    expect(answer.body.code).toBe('validation-failed');
    expect(answer.body.errors[0]).toMatchObject({ pointer, detail: expect.stringContaining(words) });
  });

  test('activeOnly must be true or false', async () => {
    const answer = await api.get(`/trailers/${ids.fleet}?activeOnly=yes`);
    expect(answer.body).toMatchObject({
      status: 400,
      errors: [{ pointer: '/query/activeOnly', detail: 'must be true or false' }],
    });
  });

  test('a cursor that is cut, altered, of another list, of other parameters or of another organization', async () => {
    const next: string = (await api.get('/fleets?take=1')).body.next;
    expect((await api.get(`/fleets?take=7&next=${next}`)).status).toBe(200);
    const flipped = [...next].map(
      (letter, at) => `${next.slice(0, at)}${letter === 'A' ? 'B' : 'A'}${next.slice(at + 1)}`,
    );
    const refused = [
      ...flipped.map((cursor) => `/fleets?next=${cursor}`),
      ...[1, 2, 3, 20, 40].map((cut) => `/fleets?next=${next.slice(0, -cut)}`),
      `/fleets?next=${next}A`,
      `/fleets?next=${'A'.repeat(512)}`,
      '/fleets?next=%00',
      `/deliversafe?next=${next}`,
      `/trailers/${ids.fleet}?next=${next}`,
      `/trailers/${ids.fleet}?activeOnly=true&next=${(await api.get(`/trailers/${ids.fleet}?take=1`)).body.next}`,
    ];
    const answers = [];
    for (const path of refused) answers.push(comparable(await api.get(path)));
    answers.push(comparable(await api.get(`/fleets?next=${next}`, 'foreign')));
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('400');
    expect(answers[0]).toContain('"code":"invalid-cursor"');
    expect(answers[0]).toContain('"pointer":"/query/next"');
  });

  test('no token and an unknown one are 401; a partner token and a key without the scope are 403', async () => {
    const statuses: Record<string, unknown> = {};
    for (const token of ['', 'nobody', 'partner', api.tokenWith('trailers:read')]) {
      const answer = await api.get('/fleets', token);
      expectToMatch(ProblemSchema, answer.body);
      statuses[token] = [answer.status, answer.body.code];
    }
    expect(statuses).toEqual({
      '': [401, 'unauthorized'],
      nobody: [401, 'invalid-token'],
      partner: [403, 'forbidden'],
      trailers_read: [403, 'missing-scope'],
    });
    const trailers = await api.get(`/trailers/${ids.trailer}`, 'trailers_read');
    expect(trailers.status).toBe(200);
  });
});
