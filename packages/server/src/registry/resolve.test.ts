import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { beforeAll, describe, expect, test } from 'vitest';
import { insertOrganization, vinOf } from '../../test/customer-api.ts';
import { openTestDatabase } from '../../test/database.ts';
import { createTestRegistry, type TestRegistry } from '../../test/registry.ts';
import type { Database } from '../database/database.ts';
import { type DeviceSighting, deviceKey, resolveAssets, resolveDevices, resolvePlants } from './resolve.ts';

const MINUTE_MS = 60_000;
const START_MS = Date.parse('2026-11-20T14:00:00Z');

let database: Database;
let registry: TestRegistry;
let own: string;
let foreign: string;
let trailer: string;
let other: string;
let fleetId: string;

beforeAll(async () => {
  database = await openTestDatabase();
  registry = createTestRegistry({ database, clock: systemClock, ids: systemIds });
  own = await insertOrganization(database, 'own');
  foreign = await insertOrganization(database, 'foreign');
  fleetId = (await registry.createFleet(own, { name: 'North' })).id;
  trailer = (await registry.createTrailer(own, { vin: vinOf(1), name: 'T-1', fleetId })).id;
  other = (await registry.createTrailer(own, { vin: vinOf(2), name: 'T-2' })).id;
});

const sighting = (externalId: string, minutes: number, assetId = trailer): DeviceSighting => ({
  organizationId: own,
  product: 'traccar',
  externalId,
  kind: 'gateway',
  assetId,
  seenAtMs: START_MS + minutes * MINUTE_MS,
});

async function resolve(...sightings: DeviceSighting[]): Promise<(string | undefined)[]> {
  const found = await database.system
    .transaction()
    .execute((trx) => resolveDevices(trx, sightings, { ids: systemIds, nowMs: START_MS }));
  return sightings.map((one) => found.get(deviceKey(one)));
}

const device = async (id: string | undefined) => (await registry.findDevice(own, id ?? '', null))!;

test('VINs and plant ids are found whosever they are; what nobody registered is not in the answer', async () => {
  const unit = await registry.createDeliverSafeUnit(foreign, { vin: vinOf(3), name: 'D', serialNumber: 'S' });
  const now = new Date(START_MS);
  const plant = systemIds.uuid();
  const kept = { created_at: now, updated_at: now };
  await database.owner
    .insertInto('asset')
    .values({ id: plant, organization_id: foreign, kind: 'plant', name: 'P', ...kept })
    .execute();
  expect(await resolveAssets(database.system, [vinOf(1), vinOf(3), vinOf(9)])).toEqual(
    new Map([
      [vinOf(1), [{ id: trailer, organizationId: own, kind: 'trailer', fleetId }]],
      [vinOf(3), [{ id: unit.id, organizationId: foreign, kind: 'deliversafe', fleetId: null }]],
    ]),
  );
  expect(await resolvePlants(database.system, [plant, trailer, systemIds.uuid()])).toEqual(
    new Map([[plant, { id: plant, organizationId: foreign, kind: 'plant', fleetId: null }]]),
  );
  expect(await resolveAssets(database.system, [])).toEqual(new Map());
});

describe('devices', () => {
  test('one seen for the first time is entered once, and keeps its id', async () => {
    const [first, same, second] = await resolve(sighting('new-1', 3), sighting('new-1', 1), sighting('new-2', 2));
    expect(same).toBe(first);
    expect(second).not.toBe(first);
    expect(await resolve(sighting('new-2', 4), sighting('new-1', 4))).toEqual([second, first]);
    expect(await device(first)).toMatchObject({
      assetId: trailer,
      firstSeenAt: '2026-11-20T14:01:00.000Z',
      lastSeenAt: '2026-11-20T14:04:00.000Z',
    });
  });

  test('when it was last seen is written once a minute at most, and never goes back', async () => {
    const [id] = await resolve(sighting('minute', 10));
    const lastSeenAfter = async (minutes: number) => {
      await resolve(sighting('minute', minutes));
      return (await device(id)).lastSeenAt;
    };
    expect(await lastSeenAfter(10.9)).toBe('2026-11-20T14:10:00.000Z');
    expect(await lastSeenAfter(11)).toBe('2026-11-20T14:11:00.000Z');
    expect(await lastSeenAfter(2)).toBe('2026-11-20T14:11:00.000Z');
  });

  test('it moves to the asset it was seen on last, and a late sighting does not move it back', async () => {
    const [id] = await resolve(sighting('mover', 10));
    await resolve(sighting('mover', 10.1, other), sighting('mover', 9, trailer));
    expect(await device(id)).toMatchObject({ assetId: other, lastSeenAt: '2026-11-20T14:10:06.000Z' });
    await resolve(sighting('mover', 5, trailer));
    expect(await device(id)).toMatchObject({ assetId: other });
  });

  test('one name in two organizations or two products is different devices', async () => {
    const one = sighting('name', 1);
    const found = await resolve(one, { ...one, product: 'flespi' }, { ...one, organizationId: foreign });
    expect(new Set(found).size).toBe(3);
    expect(await registry.findDevice(foreign, found[0]!, null)).toBeUndefined();
  });

  test('a name that cannot be stored has no device, and its batch goes on', async () => {
    const names = ['', 'x'.repeat(201), 'nul\0', 'half \ud83d'];
    const found = await resolve(...names.map((name) => sighting(name, 1)), sighting('x'.repeat(200), 1));
    expect(found).toEqual([undefined, undefined, undefined, undefined, expect.any(String)]);
  });

  test('batches at the same time that share devices in other orders all end, with one device each', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `shared-${n}`);
    const batches = Array.from({ length: 6 }, (_, n) => {
      const turned = n % 2 === 0 ? names : [...names].reverse();
      return resolve(...turned.map((name) => sighting(name, n * 2)));
    });
    const found = (await Promise.all(batches)).map((ids) => [...ids].sort());
    for (const ids of found) expect(ids).toEqual(found[0]);
    expect(new Set(found[0]).size).toBe(names.length);
    for (const id of found[0]!) expect((await device(id)).lastSeenAt).toBe('2026-11-20T14:10:00.000Z');
  });
});

describe('a subscriber’s selection', () => {
  test('becomes ids, by id or VIN, and an empty one to no ids', async () => {
    expect(await registry.resolveFilter(own, {})).toEqual({ fleetIds: [], assetIds: [] });
    expect(await registry.resolveFilter(own, { fleets: [fleetId.toUpperCase(), fleetId] })).toEqual({
      fleetIds: [fleetId],
      assetIds: [],
    });
    expect(await registry.resolveFilter(own, { trailers: [vinOf(2).toLowerCase(), trailer, vinOf(1)] })).toEqual({
      fleetIds: [],
      assetIds: [other, trailer],
    });
  });

  test('is refused alike for the unknown, the foreign, the malformed and the wrong kind', async () => {
    const elsewhere = await registry.createTrailer(foreign, { vin: vinOf(20), name: 'F' });
    const theirs = await registry.createFleet(foreign, { name: 'F' });
    const refusals = async (selections: Parameters<TestRegistry['resolveFilter']>[1][]) => {
      const texts = selections.map((selection) =>
        registry.resolveFilter(own, selection).then(String, (error) => `${error.code} ${error.message}`),
      );
      return new Set(await Promise.all(texts));
    };
    const trailers = [elsewhere.id, vinOf(20), vinOf(21), systemIds.uuid(), 'x', ''].map((name) => ({
      trailers: [trailer, name],
    }));
    const fleets = [theirs.id, systemIds.uuid(), 'x', vinOf(1)].map((name) => ({ fleets: [name, fleetId] }));
    for (const selections of [trailers, fleets, [{ plants: [trailer] }, { plants: ['x'] }]]) {
      const found = [...(await refusals(selections))];
      expect(found).toHaveLength(1);
      expect(found[0]).toMatch(/^not-found /);
    }
  });
});

test('registering refuses a wrong VIN, one that the organization has and a fleet of others, and marks a failed check digit', async () => {
  const code = (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'ok',
      (error) => error.code,
    );
  const theirs = await registry.createFleet(foreign, { name: 'F' });
  expect(await code(registry.createTrailer(own, { vin: 'SHORT', name: 'T' }))).toBe('invalid-vin');
  expect(await code(registry.createTrailer(own, { vin: vinOf(30).replace('G', 'O'), name: 'T' }))).toBe('invalid-vin');
  expect(await code(registry.createTrailer(own, { vin: vinOf(1).toLowerCase(), name: 'T' }))).toBe('already-exists');
  expect(await code(registry.createTrailer(own, { vin: vinOf(31), name: 'T', fleetId: theirs.id }))).toBe('not-found');
  expect(
    await code(registry.createDevice(foreign, { assetId: trailer, product: 'p', externalId: 'e', kind: 'k' })),
  ).toBe('not-found');
  expect(await registry.createTrailer(own, { vin: '1M8GDM9AXKP042788', name: 'T' })).toMatchObject({
    vinCheck: 'pass',
  });
  expect(await registry.createTrailer(own, { vin: '1M8GDM9A0KP042788', name: 'T' })).toMatchObject({
    vinCheck: 'fail',
  });
});
