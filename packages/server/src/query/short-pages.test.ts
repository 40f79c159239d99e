import { createCursors } from '@gladhand/base/cursor.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import type { Signals } from '@gladhand/contract/signals.ts';
import { beforeAll, expect, test } from 'vitest';
import { type CustomerApi, openCustomerApi, vinOf } from '../../test/customer-api.ts';
import { createPartitions } from '../database/partitions.ts';
import { appendRecords, type NewRecord } from '../telemetry/append.ts';
import { feedBinding } from '../telemetry/feed-cursor.ts';

/** What a client sees of pages that end because they have examined enough: here, three rows. */
const START_MS = Date.parse('2026-11-20T14:00:00Z');
const EXAMINED_MAX = 3;

let api: CustomerApi;
let fleetId: string;
let assetId: string;

beforeAll(async () => {
  api = await openCustomerApi({ examinedRowsMax: EXAMINED_MAX });
  await createPartitions(api.database).ensure('record', [START_MS]);
  fleetId = (await api.registry.createFleet(api.own, { name: 'Fleet' })).id;
  assetId = (await api.registry.createTrailer(api.own, { vin: vinOf(1), name: 'T', fleetId })).id;
});

let seconds = 0;
async function append(all: readonly (Partial<NewRecord> & { signals: Signals })[]): Promise<readonly string[]> {
  const records = all.map((record): NewRecord => {
    seconds += 1;
    const known = { assetId, assetKind: 'trailer', organizationId: api.own, fleetId, deviceId: null } as const;
    const stamp = { product: 'traccar', mappingVersion: 1, receiptId: systemIds.uuid(), receivedAtMs: START_MS };
    const observedAtMs = START_MS + seconds * 1_000;
    return { ...known, ...stamp, observedAtMs, deviceAtMs: null, states: undefined, ...record };
  });
  return (await api.database.system.transaction().execute((trx) => appendRecords(trx, records, START_MS))).ids;
}

const power = (externalV: number) => ({ signals: { power: { externalV } } });
const coupling = { signals: { coupling: { state: 'coupled' } } } as const;

interface Walked {
  readonly sizes: readonly number[];
  readonly ids: readonly string[];
}

/** Asks again with `next` until `isEnd` of an answer. */
async function walk(path: string, isEnd: (body: any) => boolean, as?: string): Promise<Walked> {
  const sizes: number[] = [];
  const ids: string[] = [];
  for (let next: string | null = null; ; ) {
    const separator = path.includes('?') ? '&' : '?';
    const { body, status, text } = await api.get(next === null ? path : `${path}${separator}next=${next}`, as);
    expect(status, text).toBe(200);
    sizes.push(body.data.length);
    ids.push(...body.data.map((item: { id?: string; assetId: string }) => item.id ?? item.assetId));
    if (isEnd(body)) return { sizes, ids };
    expect(body.next, 'a cursor that has not moved').not.toBe(next);
    next = body.next;
  }
}

test('a feed page behind a filter may be empty and not the end: next has moved on, and caughtUp says when the end is reached', async () => {
  const { next } = (await api.get('/telemetry/feed?from=now')).body;
  const others = [1, 2, 3, 4, 5, 6, 7].map(power);
  const ids = await append([...others, coupling, ...others.slice(1).map(() => power(20)), coupling]);
  const path = `/telemetry/feed?signals=coupling`;
  const after = (await api.get(`${path}&next=${next}`)).body;
  expect(after).toMatchObject({ data: [], caughtUp: false });
  expect(after.next).not.toBe(next);
  const { sizes, ids: seen } = await walk(path, (body) => body.caughtUp);
  expect(seen).toEqual([ids[7], ids.at(-1)]);
  expect(sizes.length).toBeGreaterThanOrEqual(ids.length / EXAMINED_MAX);
});

test('a page that is full and the last one says so, and one more record undoes it', async () => {
  const { next } = (await api.get('/telemetry/feed?from=now')).body;
  const ids = await append([power(30), power(31)]);
  const full = (await api.get(`/telemetry/feed?take=2&next=${next}`)).body;
  expect(full.data.map(({ id }: { id: string }) => id)).toEqual(ids);
  expect(full.caughtUp).toBe(true);
  await append([power(32)]);
  expect((await api.get(`/telemetry/feed?take=2&next=${next}`)).body.caughtUp).toBe(false);
  expect((await api.get(`/telemetry/feed?take=2&next=${full.next}`)).body).toMatchObject({
    data: [{ signals: { power: { externalV: 32 } } }],
    caughtUp: true,
  });
});

test('what another organization receives moves the cursor of one that receives nothing, and shows it nothing', async () => {
  const before = (await api.get('/telemetry/feed', 'foreign')).body;
  await append([power(40), power(41), power(42), power(43)]);
  const after = (await api.get(`/telemetry/feed?next=${before.next}`, 'foreign')).body;
  expect(after).toMatchObject({ data: [], caughtUp: true });
  expect(after.next).not.toBe(before.next);
});

test('a cursor ahead of the store, as after a restore, goes on from its end and misses nothing that follows', async () => {
  const ahead = createCursors(Buffer.alloc(32, 7)).seal(feedBinding(api.own), [1_000_000]);
  const lost = (await api.get(`/telemetry/feed?next=${ahead}`)).body;
  expect(lost).toMatchObject({ data: [], caughtUp: true });
  const [id] = await append([power(50)]);
  const found = (await api.get(`/telemetry/feed?next=${lost.next}`)).body;
  expect(found.data.map((record: { id: string }) => record.id)).toEqual([id]);
});

test('lists that leave out plants may come short: only a next of null is the end', async () => {
  const plantIds = Array.from({ length: 8 }, () => systemIds.uuid());
  for (const id of plantIds) {
    const kept = { created_at: new Date(START_MS), updated_at: new Date(START_MS) };
    const row = { id, organization_id: api.own, kind: 'plant', name: 'Plant', ...kept } as const;
    await api.database.owner.insertInto('asset').values(row).execute();
  }
  const device = { assetId: plantIds[7]!, product: 'meter', externalId: 'm', kind: 'meter' };
  const { id: deviceId } = await api.registry.createDevice(api.own, device);
  const ids = await append(
    plantIds.map((id, n) => ({
      assetId: id,
      assetKind: 'plant',
      fleetId: null,
      deviceId,
      signals: { flow: { pvPowerKw: n } },
    })),
  );
  const token = api.tokenForPlants(plantIds[7]!);
  const isEnd = (body: any) => body.next === null;
  const ofDevice = await walk(`/devices/telemetry/${deviceId}`, isEnd, token);
  expect(ofDevice).toEqual({ sizes: [0, 0, 1], ids: [ids[7]] });
  const latest = await walk('/telemetry/latest', isEnd, token);
  expect(latest.ids).toEqual([assetId, plantIds[7]]);
  expect(latest.sizes.length).toBeGreaterThan(2);
});
