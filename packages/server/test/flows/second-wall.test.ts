import { systemIds, uuidFrom } from '@gladhand/base/ids.ts';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { createPartitions } from '../../src/database/partitions.ts';
import { findReceipt } from '../../src/processing/store.ts';
import { appendRecords } from '../../src/telemetry/append.ts';
import { createTelemetryReader } from '../../src/telemetry/read.ts';
import { insertOrganization, vinOf } from '../customer-api.ts';
import { openTestDatabase } from '../database.ts';
import { createManualClock } from '../manual-clock.ts';
import { createTestRegistry } from '../registry.ts';

// Every statement of every room, without the condition that says whose rows it means.
vi.mock('../../src/database/of-organization.ts', () => ({ ofOrganization: () => sql`true` }));

test('with the rooms’ own filter switched off, row-level security alone keeps every read to its organization', async () => {
  const database = await openTestDatabase();
  const clock = createManualClock();
  const nowMs = clock.nowMs();
  const registry = createTestRegistry({ database, clock, ids: systemIds });
  const reader = createTelemetryReader(database);
  const partitions = createPartitions(database);
  for (const table of ['record', 'envelope'] as const) await partitions.ensure(table, [nowMs]);

  async function furnish(slug: string, number: number) {
    const id = await insertOrganization(database, slug);
    const fleet = await registry.createFleet(id, { name: slug });
    const trailer = await registry.createTrailer(id, { vin: vinOf(number), name: slug, fleetId: fleet.id });
    const unit = await registry.createDeliverSafeUnit(id, { vin: vinOf(number + 1), name: slug, serialNumber: 'same' });
    const device = await registry.createDevice(id, {
      assetId: trailer.id,
      product: 'traccar',
      externalId: 'same',
      kind: 'gateway',
    });
    const receiptId = uuidFrom(nowMs, systemIds.randomBytes(16));
    const record = {
      assetId: trailer.id,
      assetKind: 'trailer' as const,
      organizationId: id,
      fleetId: fleet.id,
      deviceId: device.id,
      product: 'traccar',
      mappingVersion: 1,
      receiptId,
      observedAtMs: nowMs,
      deviceAtMs: null,
      receivedAtMs: nowMs,
      signals: { gps: { latitude: number, longitude: 1 } },
      states: undefined,
    };
    await database.system.transaction().execute((trx) => appendRecords(trx, [record], nowMs));
    return { id, fleet, trailer, unit, device, receiptId };
  }
  const own = await furnish('own', 10);
  const foreign = await furnish('foreign', 20);
  const walk = { afterId: null, take: 10 };
  const all = { ...walk, activeOnly: false };

  expect((await registry.listFleets(own.id, walk)).items).toEqual([own.fleet]);
  expect(await registry.findFleet(own.id, foreign.fleet.id)).toBeUndefined();
  expect((await registry.listTrailers(own.id, own.fleet.id, all)).items).toEqual([own.trailer]);
  expect((await registry.listTrailers(own.id, foreign.fleet.id, all)).items).toEqual([]);
  expect(await registry.findTrailer(own.id, foreign.trailer.vin)).toBeUndefined();
  expect(await registry.findTrailer(own.id, own.trailer.vin)).toEqual(own.trailer);
  expect((await registry.listDeliverSafe(own.id, walk)).items).toEqual([own.unit]);
  expect(await registry.findDeliverSafe(own.id, 'same')).toEqual(own.unit);
  expect(await registry.findVehicleId(own.id, foreign.unit.vin)).toBeUndefined();
  expect(await registry.findDevice(own.id, foreign.device.id, null)).toBeUndefined();
  expect((await registry.listDevices(own.id, foreign.trailer.id, all)).items).toEqual([]);
  await expect(registry.resolveFilter(own.id, { fleets: [foreign.fleet.id] })).rejects.toThrow('no such fleet');
  await expect(registry.resolveFilter(own.id, { trailers: [foreign.trailer.vin] })).rejects.toThrow('no such trailer');
  const device = { assetId: foreign.trailer.id, product: 'p', externalId: 'e', kind: 'gateway' };
  await expect(registry.createDevice(own.id, device)).rejects.toThrow('no such asset');
  const trailer = { vin: vinOf(30), name: 'T', fleetId: foreign.fleet.id };
  await expect(registry.createTrailer(own.id, trailer)).rejects.toThrow('no such fleet');

  const page = { gpsOnly: false, fromMs: null, toMs: null, order: 'asc', after: null, take: 10 } as const;
  const counts = async (of: { assetId: string } | { deviceId: string }) =>
    (await reader.byTime({ organizationId: own.id, of, ...page })).count;
  expect(await counts({ assetId: own.trailer.id })).toBe(1);
  expect(await counts({ assetId: foreign.trailer.id })).toBe(0);
  expect(await counts({ deviceId: foreign.device.id })).toBe(0);
  const feed = await reader.feed({ organizationId: own.id, afterPosition: 0, take: 10 });
  expect(feed.rows.map(({ assetId }) => assetId)).toEqual([own.trailer.id]);
  const latest = await reader.latest({ organizationId: own.id, afterAssetId: null, take: 10 });
  expect(latest.rows.map(({ assetId }) => assetId)).toEqual([own.trailer.id]);

  for (const { id, receiptId } of [own, foreign]) {
    const envelope = {
      id: receiptId,
      received_at: new Date(nowMs),
      organization_id: id,
      key_id: id,
      body: Buffer.from('{}'),
    };
    await database.owner
      .insertInto('envelope')
      .values({ ...envelope, partner_id: 'p', product: 'traccar', vin: 'V' })
      .execute();
  }
  const asOwn = { organizationId: own.id, partnerId: 'p' };
  expect(await findReceipt(database, asOwn, own.receiptId)).toMatchObject({ id: own.receiptId });
  expect(await findReceipt(database, asOwn, foreign.receiptId)).toBeUndefined();
});
