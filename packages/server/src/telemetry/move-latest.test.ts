import { systemIds } from '@gladhand/base/ids.ts';
import type { Signals } from '@gladhand/contract/signals.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { beforeAll, expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from '../database/database.ts';
import { createPartitions } from '../database/partitions.ts';
import { appendRecords, type NewRecord } from './append.ts';
import { LATEST_METRICS_PER_GROUP_MAX } from './latest.ts';
import { rebuildLatest } from './move-latest.ts';

/** The latest values as rows of asset and group: what is read and written, how much is kept, and that records make them. */
const AT_MS = Date.UTC(2026, 10, 20, 12);
const organizationId = systemIds.uuid();
let database: Database;

beforeAll(async () => {
  database = await openTestDatabase();
  await createPartitions(database).ensure('record', [AT_MS]);
});

function reading(assetId: string, seconds: number, signals: Signals, more: Partial<NewRecord> = {}): NewRecord {
  return {
    assetId,
    organizationId,
    assetKind: 'trailer',
    fleetId: null,
    deviceId: null,
    product: 'flespi',
    mappingVersion: 1,
    receiptId: systemIds.uuid(),
    deviceAtMs: null,
    states: undefined,
    observedAtMs: AT_MS + seconds * 1000,
    receivedAtMs: AT_MS + 60_000,
    signals,
    ...more,
  };
}

const append = (...records: NewRecord[]) =>
  database.system.transaction().execute((trx) => appendRecords(trx, records, AT_MS));

async function rowsOf(assetId: string) {
  const { rows } = await sql<{ group: string; metrics: Record<string, any>; isCapped: boolean; version: string }>`
    select signal_group as group, metrics, is_capped as "isCapped", xmin::text as version from latest
    where asset_id = ${assetId} order by signal_group`.execute(database.owner);
  return rows;
}

const kept = (rows: Awaited<ReturnType<typeof rowsOf>>) =>
  rows.map(({ group, metrics, isCapped }) => ({ group, metrics, isCapped }));

test('a record writes the groups it speaks of and no others', async () => {
  const assetId = systemIds.uuid();
  await append(reading(assetId, 1, { gps: { speedKph: 40 }, odometer: { odometerM: 5 } }));
  const before = await rowsOf(assetId);
  expect(before.map(({ group }) => group)).toEqual(['gps', 'odometer']);
  await append(reading(assetId, 2, { gps: { speedKph: 50 } }));
  const [gps, odometer] = await rowsOf(assetId);
  expect(gps!.metrics['gps.speedKph'].value).toBe(50);
  expect(odometer).toEqual(before[1]);
});

test('a group keeps its newest metrics and says that it is capped; a statement that makes it small again ends that', async () => {
  const assetId = systemIds.uuid();
  const faults = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => ({ protocol: 'j1939' as const, spn: from + n, fmi: 1, active: true }));
  const devices = [systemIds.uuid(), systemIds.uuid()];
  for (const [place, deviceId] of devices.entries())
    await append(reading(assetId, place, { faults: faults(1 + place * 1_000, 400) }, { deviceId }));
  const [row] = await rowsOf(assetId);
  expect(row).toMatchObject({ group: 'faults', isCapped: true });
  const metrics = Object.entries(row!.metrics);
  expect(metrics).toHaveLength(LATEST_METRICS_PER_GROUP_MAX);
  expect(metrics.filter(([, { deviceId }]) => deviceId === devices[1]).length).toBeGreaterThanOrEqual(800);
  for (const deviceId of devices) await append(reading(assetId, 10, { faults: [] }, { deviceId }));
  expect(await rowsOf(assetId)).toMatchObject([{ isCapped: false, metrics: { faults: { value: 0 } } }]);
});

const saying = fc.record({
  device: fc.nat({ max: 1 }),
  seconds: fc.nat({ max: 5 }),
  signals: fc.oneof(
    fc.record({ gps: fc.record({ speedKph: fc.nat({ max: 3 }) }) }),
    fc.record({ doors: fc.constantFrom([{ id: 'rear', state: 'open' }], [{ id: 'rear', state: 'closed' }]) }),
    fc.record({ reefer: fc.constantFrom({ alarms: [] }, { alarms: [{ code: '63' }] }, { fuelPct: 5 }) }),
  ),
});

test('the latest values are what the stored records make of them, in the order of their positions', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(saying, { minLength: 1, maxLength: 6 }), { maxLength: 6 }), async (payloads) => {
      const assetId = systemIds.uuid();
      const devices = [systemIds.uuid(), systemIds.uuid()];
      for (const payload of payloads) {
        const receiptId = systemIds.uuid();
        await append(
          ...payload.map(({ device, seconds, signals }) =>
            reading(assetId, seconds, signals as Signals, { deviceId: devices[device]!, receiptId }),
          ),
        );
      }
      const before = kept(await rowsOf(assetId));
      await database.system.transaction().execute((trx) => rebuildLatest(trx, { assetId, organizationId }));
      expect(kept(await rowsOf(assetId))).toEqual(before);
    }),
    { numRuns: 60 },
  );
});

test('the same record with its signals in another order is the same record', async () => {
  const assetId = systemIds.uuid();
  const batteries = [
    { role: 'gateway', voltageV: 4.1 },
    { role: 'reefer', voltageV: 12.6 },
  ] as const;
  const one = await append(reading(assetId, 1, { gps: { speedKph: 1, hdop: 1 }, batteries: [...batteries] }));
  const other = await append(
    reading(assetId, 1, { batteries: [...batteries].reverse(), gps: { hdop: 1, speedKph: 1 } }),
  );
  expect(other).toEqual({ ids: one.ids, added: 0 });
});
