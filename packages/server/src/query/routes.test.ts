import { systemIds } from '@gladhand/base/ids.ts';
import { ProblemSchema } from '@gladhand/contract/problem.ts';
import { FeedPageSchema, GpsPageSchema, LatestPageSchema, RecordPageSchema } from '@gladhand/contract/query.ts';
import type { Signals } from '@gladhand/contract/signals.ts';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type CustomerApi, expectToMatch, openCustomerApi, vinOf, walk } from '../../test/customer-api.ts';
import { createPartitions } from '../database/partitions.ts';
import { appendRecords, type NewRecord } from '../telemetry/append.ts';

const START_MS = Date.parse('2026-11-20T14:00:00Z');

let api: CustomerApi;
let lastVin = 0;

beforeAll(async () => {
  api = await openCustomerApi();
});

interface Vehicle {
  readonly id: string;
  readonly vin: string;
  readonly fleetId: string;
  readonly deviceId: string;
}

async function registerTrailer(organizationId = api.own): Promise<Vehicle> {
  const { registry } = api;
  const fleetId = (await registry.createFleet(organizationId, { name: 'Fleet' })).id;
  const vin = vinOf((lastVin += 1));
  const { id } = await registry.createTrailer(organizationId, { vin, name: vin, fleetId });
  const device = { assetId: id, product: 'traccar', externalId: vin, kind: 'gateway' };
  return { id, vin, fleetId, deviceId: (await registry.createDevice(organizationId, device)).id };
}

type Seen = Partial<NewRecord> & { signals: Signals; observedAtMs: number };

/** Appends in one transaction and gives the ids in the order given. */
async function append(vehicle: Vehicle, seen: readonly Seen[], organizationId = api.own): Promise<readonly string[]> {
  await createPartitions(api.database).ensure(
    'record',
    seen.map((record) => record.observedAtMs),
  );
  const records = seen.map((record): NewRecord => {
    const { id: assetId, fleetId, deviceId } = vehicle;
    const known = { assetId, assetKind: 'trailer', organizationId, fleetId, deviceId, product: 'traccar' } as const;
    const stamp = {
      mappingVersion: 1,
      receiptId: systemIds.uuid(),
      deviceAtMs: null,
      receivedAtMs: START_MS + 3_600_000,
      states: undefined,
    };
    return { ...known, ...stamp, ...record };
  });
  return (await api.database.system.transaction().execute((trx) => appendRecords(trx, records, START_MS))).ids;
}

function fix(second: number, n = 0): Seen {
  return { observedAtMs: START_MS + second * 1_000, signals: { gps: { latitude: 47.5 + n / 1_000, longitude: 9.74 } } };
}

function reading(second: number, externalV = 12.5): Seen {
  return { observedAtMs: START_MS + second * 1_000, signals: { power: { externalV } } };
}

const idsOf = (answer: { body: { data: { id: string }[] } }) => answer.body.data.map((record) => record.id);

describe('pages by time', () => {
  test("a trailer's positions are whole records cut down to gps, oldest first unless newest is asked for", async () => {
    const trailer = await registerTrailer();
    const both: Seen = { ...fix(30), deviceAtMs: START_MS, signals: { ...fix(30).signals, power: { externalV: 24 } } };
    const [late, , early] = await append(trailer, [both, reading(20), fix(10)]);
    const page = await api.get(`/trailers/telemetry/gps/${trailer.vin.toLowerCase()}`);
    expect(page.status).toBe(200);
    expect(page.contentType).toBe('application/json; charset=utf-8');
    expectToMatch(GpsPageSchema, page.body);
    expect(idsOf(page)).toEqual([early, late]);
    expect(page.body.data[1]).toMatchObject({
      assetId: trailer.id,
      deviceId: trailer.deviceId,
      observedAt: '2026-11-20T14:00:30.000Z',
      deviceAt: '2026-11-20T14:00:00.000Z',
      signals: { gps: { latitude: 47.5, longitude: 9.74 } },
    });
    expect(page.body.data[1].signals).not.toHaveProperty('power');
    expect(idsOf(await api.get(`/trailers/telemetry/gps/${trailer.id}?order=desc`))).toEqual([late, early]);
  });

  test('a device has its own records, a DeliverSafe unit all of its own', async () => {
    const trailer = await registerTrailer();
    const [ours] = await append(trailer, [reading(1), { ...reading(2), deviceId: null }]);
    const device = await api.get(`/devices/telemetry/${trailer.deviceId}`);
    expectToMatch(RecordPageSchema, device.body);
    expect(idsOf(device)).toEqual([ours]);

    const vin = vinOf((lastVin += 1));
    const unit = await api.registry.createDeliverSafeUnit(api.own, { vin, name: 'Unit', serialNumber: `S-${vin}` });
    const seen = { ...reading(1), assetKind: 'deliversafe', signals: { backup: { reversing: true } } } as const;
    const stored = await append({ ...trailer, id: unit.id }, [seen, { ...seen, observedAtMs: START_MS }]);
    for (const name of [unit.id, vin, `S-${vin}`]) {
      const page = await api.get(`/deliversafe/telemetry/${name}`);
      expectToMatch(RecordPageSchema, page.body);
      expect(idsOf(page)).toEqual([...stored].reverse());
    }
  });

  test('from is inclusive, to is not, and an offset means the same instant', async () => {
    const trailer = await registerTrailer();
    const stored = await append(
      trailer,
      [0, 1, 2, 3].map((second) => fix(second)),
    );
    const path = `/trailers/telemetry/gps/${trailer.id}`;
    const middle = stored.slice(1, 3);
    expect(idsOf(await api.get(`${path}?from=2026-11-20T14:00:01Z&to=2026-11-20T14:00:03Z`))).toEqual(middle);
    expect(idsOf(await api.get(`${path}?from=2026-11-20T15:00:01%2B01:00&to=2026-11-20t14:00:02.0000001z`))).toEqual(
      middle,
    );
    expect(idsOf(await api.get(`${path}?from=2026-11-20T14:00:00.0001Z&to=9999-12-31T23:59:59.999-12:00`))).toEqual(
      stored.slice(1),
    );
    expect(idsOf(await api.get(`${path}?from=0001-01-01T00:00:00Z`))).toEqual(stored);
    expect(idsOf(await api.get(`${path}?from=0000-01-01T00:00:00%2B23:59&to=0001-01-01T00:00:00Z`))).toEqual([]);
  });

  test('any set of records, many of one instant, walked in pages of any size and either order, is whole and in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 32 }),
        fc.boolean(),
        async (seconds, take, isDescending) => {
          const trailer = await registerTrailer();
          const records = seconds.map((second, n) => (n % 4 === 3 ? reading(second, n) : fix(second, n)));
          const stored = await append(trailer, records);
          const sorted = seconds
            .map((second, n) => ({ second, id: stored[n]!, isFix: n % 4 !== 3 }))
            .sort((one, other) => one.second - other.second || (one.id < other.id ? -1 : 1));
          if (isDescending) sorted.reverse();
          const order = isDescending ? 'desc' : 'asc';
          const fixes = await walk(api, `/trailers/telemetry/gps/${trailer.id}?order=${order}`, take);
          expect(fixes.map((record) => record.id)).toEqual(sorted.filter((one) => one.isFix).map((one) => one.id));
          const all = await walk(
            api,
            `/devices/telemetry/${trailer.deviceId}?order=${order}&to=2026-11-20T14:00:05Z`,
            take,
          );
          expect(all.map((record) => record.id)).toEqual(sorted.filter((one) => one.second < 5).map((one) => one.id));
        },
      ),
      { numRuns: 25 },
    );
  });

  test('a cursor holds for its asset, range and order alone', async () => {
    const trailer = await registerTrailer();
    const other = await registerTrailer();
    await append(trailer, [fix(1), fix(2), fix(3)]);
    const path = `/trailers/telemetry/gps/${trailer.id}`;
    const { next } = (await api.get(`${path}?take=1&from=2026-11-20T14:00:00Z`)).body;
    const sameByVin = `/trailers/telemetry/gps/${trailer.vin}?take=2&from=2026-11-20T15:00:00%2B01:00&next=${next}`;
    expect((await api.get(sameByVin)).body.data).toHaveLength(2);
    for (const wrong of [
      `${path}?next=${next}`,
      `${path}?from=2026-11-20T14:00:01Z&next=${next}`,
      `${path}?from=2026-11-20T14:00:00Z&to=2026-11-21T14:00:00Z&next=${next}`,
      `${path}?from=2026-11-20T14:00:00Z&order=desc&next=${next}`,
      `/trailers/telemetry/gps/${other.id}?from=2026-11-20T14:00:00Z&next=${next}`,
      `/devices/telemetry/${trailer.deviceId}?from=2026-11-20T14:00:00Z&next=${next}`,
      `/telemetry/feed?next=${next}`,
      `/telemetry/latest?next=${next}`,
    ]) {
      expect((await api.get(wrong)).body, wrong).toMatchObject({ status: 400, code: 'invalid-cursor' });
    }
  });

  test.each([
    ['from=2026-11-20T14:00:00Z&to=2026-11-20T14:00:00Z', 'invalid-range', '/query/from', 'not earlier than `to`'],
    ['from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z', 'invalid-range', '/query/from', 'not earlier than `to`'],
    ['from=2026-11-20T14:00:00', 'validation-failed', '/query/from', 'with a zone'],
    ['to=2026-11-20T14:00:00', 'validation-failed', '/query/to', 'with a zone'],
    ['from=2026-11-20T15:00:00+01:00', 'validation-failed', '/query/from', '%2B'],
    ['from=2026-11-20', 'validation-failed', '/query/from', 'RFC 3339'],
    ['from=1795183378000', 'validation-failed', '/query/from', 'RFC 3339'],
    ['from=2026-02-30T00:00:00Z', 'invalid-range', '/query/from', 'not an instant that exists'],
    ['to=2026-11-20T24:00:00Z', 'invalid-range', '/query/to', 'not an instant that exists'],
    ['to=2026-13-20T14:00:00Z', 'invalid-range', '/query/to', 'not an instant that exists'],
    ['to=2026-11-20T14:00:00%2B99:00', 'invalid-range', '/query/to', 'not an instant that exists'],
    ['order=newest', 'validation-failed', '/query/order', 'must be one of "asc", "desc"'],
    ['take=0', 'validation-failed', '/query/take', '1 or more'],
    ['take=100000', 'validation-failed', '/query/take', '500 or less'],
    ['since=2026-11-20T14:00:00Z', 'validation-failed', '/query/since', 'is not known here'],
  ])('%s is refused in words, with its place', async (query, code, pointer, words) => {
    const trailer = await registerTrailer();
    for (const path of [`/trailers/telemetry/gps/${trailer.id}`, `/devices/telemetry/${trailer.deviceId}`]) {
      const answer = await api.get(`${path}?${query}`);
      expectToMatch(ProblemSchema, answer.body);
      expect(answer.body).toMatchObject({
        status: 400,
        code,
        errors: [{ pointer, detail: expect.stringContaining(words) }],
      });
    }
  });

  test('telemetry needs its own scope beside that of the asset', async () => {
    const trailer = await registerTrailer();
    const path = `/trailers/telemetry/gps/${trailer.id}`;
    const statuses = [];
    for (const scopes of [['telemetry:read'], ['trailers:read'], ['trailers:read', 'telemetry:read']]) {
      statuses.push((await api.get(path, api.tokenWith(...scopes))).status);
    }
    expect(statuses).toEqual([403, 403, 200]);
  });
});

describe('latest', () => {
  test('each value keeps its own clocks, and a late record does not move it back', async () => {
    const trailer = await registerTrailer();
    await append(trailer, [fix(10, 1), reading(20, 13)]);
    const [, newer] = await append(trailer, [fix(5, 2), reading(30, 14)]);
    const page = await api.get(`/telemetry/latest?trailer=${trailer.vin.toLowerCase()}`);
    expectToMatch(LatestPageSchema, page.body);
    expect(page.body.next).toBeNull();
    const [{ assetId, vin, assetKind, metrics }] = page.body.data;
    expect({ assetId, vin, assetKind }).toEqual({ assetId: trailer.id, vin: trailer.vin, assetKind: 'trailer' });
    expect(metrics['gps.latitude']).toMatchObject({ value: 47.501, observedAt: '2026-11-20T14:00:10.000Z' });
    expect(metrics['power.externalV']).toMatchObject({ value: 14, recordId: newer, deviceId: trailer.deviceId });
  });

  test('pages through every asset that reported, in one fleet or in all', async () => {
    const [one, two, three] = [await registerTrailer(), await registerTrailer(), await registerTrailer()];
    for (const trailer of [one, two, three]) await append(trailer, [reading(1)]);
    expect((await api.get(`/telemetry/latest?fleet=${two.fleetId}`)).body.data).toMatchObject([{ assetId: two.id }]);
    expect((await api.get(`/telemetry/latest?fleet=${two.fleetId}&trailer=${one.id}`)).body).toEqual({
      data: [],
      next: null,
    });
    const seen = (await walk(api, '/telemetry/latest', 2)) as unknown as { assetId: string }[];
    const assetIds = seen.map((row) => row.assetId);
    expect(new Set(assetIds).size).toBe(assetIds.length);
    expect(assetIds).toEqual(expect.arrayContaining([one.id, two.id, three.id]));
    expect([...assetIds].sort()).toEqual(assetIds);
    expect((await api.get('/telemetry/latest', 'foreign')).body).toEqual({ data: [], next: null });
  });
});

describe('the feed', () => {
  async function follow(query: string, next: string | null, token?: string) {
    const answer = await api.get(`/telemetry/feed?${query}${next === null ? '' : `&next=${next}`}`, token);
    expect(answer.status, answer.text).toBe(200);
    expectToMatch(FeedPageSchema, answer.body);
    return { ids: idsOf(answer), next: answer.body.next as string, caughtUp: answer.body.caughtUp as boolean };
  }

  test('gives every record once, in the order of arrival, late ones too, and never ends', async () => {
    const trailer = await registerTrailer();
    let { next } = await follow('from=now', null);
    expect(await follow('', next)).toMatchObject({ ids: [], caughtUp: true });
    const first = await append(trailer, [fix(50), fix(40), fix(60)]);
    const seen: string[] = [];
    const drain = async (take: number) => {
      for (;;) {
        const page = await follow(`take=${take}`, next);
        next = page.next;
        seen.push(...page.ids);
        if (page.caughtUp) return;
      }
    };
    await drain(2);
    expect(seen).toEqual(first);
    const late = await append(trailer, [fix(-86_400 * 30), fix(40), fix(41)]);
    await drain(1);
    expect(seen).toEqual([...first, late[0], late[2]]);
  });

  test('without next starts at the oldest record kept', async () => {
    const trailer = await registerTrailer(api.foreign);
    const stored = await append(trailer, [fix(1), fix(2)], api.foreign);
    for (const query of ['take=500', 'take=500&from=oldest']) {
      expect((await follow(query, null, 'foreign')).ids).toEqual(stored);
    }
  });

  test('a filter passes what it names, moves on over the rest, and one cursor serves every filter', async () => {
    const [one, two] = [await registerTrailer(), await registerTrailer()];
    const { next } = await follow('from=now', null);
    const [position, voltage] = await append(one, [fix(1), reading(2)]);
    const [elsewhere] = await append(two, [fix(3)]);
    expect((await follow(`fleet=${one.fleetId}`, next)).ids).toEqual([position, voltage]);
    expect((await follow('signals=gps', next)).ids).toEqual([position, elsewhere]);
    expect((await follow('signals=power,doors', next)).ids).toEqual([voltage]);
    expect((await follow(`fleet=${two.fleetId}&signals=power`, next)).ids).toEqual([]);
    const beyond = await follow(`fleet=${two.fleetId}&signals=power`, next);
    expect(beyond.caughtUp).toBe(true);
    expect(await follow('', beyond.next)).toMatchObject({ ids: [] });
    const partly = await follow('signals=gps&take=1', next);
    expect((await follow('', partly.next)).ids).toEqual([voltage, elsewhere]);
  });

  test('shows nothing of another organization, and takes no cursor of one', async () => {
    const trailer = await registerTrailer();
    const { next } = await follow('from=now', null, 'foreign');
    await append(trailer, [fix(1)]);
    expect((await follow('', next, 'foreign')).ids).toEqual([]);
    const own = (await follow('from=now', null)).next;
    expect((await api.get(`/telemetry/feed?next=${own}`, 'foreign')).body).toMatchObject({
      status: 400,
      code: 'invalid-cursor',
    });
  });

  test.each([
    ['signals=gps,wheels', '/query/signals', '"wheels"'],
    ['signals=', '/query/signals', '1 character or more'],
    ['signals=constructor', '/query/signals', '"constructor"'],
    ['from=yesterday', '/query/from', 'must be one of'],
    ['trailer=x', '/query/trailer', 'is not known here'],
    ['take=501', '/query/take', '500 or less'],
  ])('%s is refused in words, with its place', async (query, pointer, words) => {
    const answer = await api.get(`/telemetry/feed?${query}`);
    expect(answer.body).toMatchObject({ status: 400, errors: [{ pointer, detail: expect.stringContaining(words) }] });
  });

  test('next and from together are refused: each says where to start', async () => {
    const { next } = await follow('from=now', null);
    const answer = await api.get(`/telemetry/feed?from=oldest&next=${next}`);
    expect(answer.body).toMatchObject({ status: 400, errors: [{ pointer: '/query/from' }] });
  });
});

test('a key restricted to some plants reads every trailer and nothing of the other plants', async () => {
  const trailer = await registerTrailer();
  const plant = async () => {
    const id = systemIds.uuid();
    const kept = { created_at: new Date(START_MS), updated_at: new Date(START_MS) };
    const row = { id, organization_id: api.own, kind: 'plant', name: 'Plant', ...kept } as const;
    await api.database.owner.insertInto('asset').values(row).execute();
    const device = await api.registry.createDevice(api.own, {
      assetId: id,
      product: 'meter',
      externalId: id,
      kind: 'meter',
    });
    return { ...trailer, id, deviceId: device.id };
  };
  const [allowed, hidden] = [await plant(), await plant()];
  const { next } = (await api.get('/telemetry/feed?from=now')).body;
  const seen = {
    observedAtMs: START_MS,
    assetKind: 'plant',
    fleetId: null,
    signals: { flow: { pvPowerKw: 4 } },
  } as const;
  const stored = [
    ...(await append(trailer, [fix(1)])),
    ...(await append(allowed, [seen])),
    ...(await append(hidden, [seen])),
  ];
  const token = api.tokenForPlants(allowed.id);
  const read = async (as: string) => ({
    feed: idsOf(await api.get(`/telemetry/feed?next=${next}`, as)),
    latest: (await api.get('/telemetry/latest?take=500', as)).body.data.map((row: { assetId: string }) => row.assetId),
    devices: await Promise.all(
      [allowed, hidden].map(async ({ deviceId }) => [
        (await api.get(`/devices/details/${deviceId}`, as)).status,
        (await api.get(`/devices/telemetry/${deviceId}`, as)).status,
      ]),
    ),
  });
  const [everything, restricted] = [await read('own'), await read(token)];
  expect(everything.feed).toEqual(stored);
  expect(everything.devices).toEqual([
    [200, 200],
    [200, 200],
  ]);
  expect(restricted.feed).toEqual(stored.slice(0, 2));
  expect(restricted.devices).toEqual([
    [200, 200],
    [404, 404],
  ]);
  expect(restricted.latest).toEqual(everything.latest.filter((id: string) => id !== hidden.id));
  expect(everything.latest).toContain(hidden.id);
});
