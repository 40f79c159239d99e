import { type KyselyPlugin, sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import {
  ASSET,
  FLEET,
  ORGANIZATION,
  OTHER_ORGANIZATION,
  openHarness,
  principal,
  range,
  settled,
  WAIT,
} from '../../test/live-feed.ts';
import type { Database } from '../database/database.ts';
import { appendRecords, type NewRecord } from '../telemetry/append.ts';
import { createTelemetryReader } from '../telemetry/read.ts';

const START_MS = Date.parse('2026-11-20T07:00:00.000Z');
let made = 0;

function newRecord(changes: Partial<NewRecord> = {}): NewRecord {
  made += 1;
  return {
    assetId: ASSET,
    assetKind: 'trailer',
    organizationId: ORGANIZATION,
    fleetId: FLEET,
    deviceId: null,
    product: 'traccar',
    mappingVersion: 1,
    receiptId: '01900000-0000-7000-8000-00000000c001',
    observedAtMs: START_MS + made,
    deviceAtMs: null,
    receivedAtMs: START_MS + made,
    signals: {
      gps: { latitude: 41 + made / 1e6, longitude: -87, altitudeM: null },
      tires: [{ axle: 1, side: 'left', dual: 'single', pressureKpa: 690 }],
    },
    states: undefined,
    ...changes,
  };
}

async function openStore(): Promise<Database> {
  const database = await openTestDatabase();
  await sql`create table record_of_test partition of record default`.execute(database.owner);
  await sql`insert into organization (id, slug, name, kind, created_at, updated_at) values
    (${ORGANIZATION}, 'a', 'A', 'customer', now(), now()), (${OTHER_ORGANIZATION}, 'b', 'B', 'customer', now(), now())`.execute(
    database.owner,
  );
  await sql`insert into asset (id, organization_id, kind, vin, vin_check, name, created_at, updated_at)
    values (${ASSET}, ${ORGANIZATION}, 'trailer', '1M8GDM9AXKP042788', 'pass', 'one', now(), now())`.execute(
    database.owner,
  );
  return database;
}

test('with writers committing at once, one holding its transaction open, and subscribers cut off at random, nothing is missed and nothing doubled', async () => {
  const database = await openStore();
  const { connect, ring } = await openHarness(createTelemetryReader(database), { limits: { windowRecordsMax: 64 } });
  const steady = connect();
  await steady.begun();
  const resumed: number[] = [];
  let cursor = steady.cursor;
  let isWriting = true;
  const counts: number[] = [];
  const total = () => counts.reduce((sum, count) => sum + count, 0);

  const reading = (async () => {
    for (let turn = 1; isWriting || resumed.length < total(); turn += 1) {
      const subscription = connect({ cursor });
      const want = Math.min(1 + ((turn * 37) % 90), Math.max(1, total() - resumed.length));
      await vi.waitFor(() => expect(subscription.records.length >= want || !isWriting).toBe(true), WAIT);
      if (!isWriting) await subscription.received(total() - resumed.length);
      subscription.stream.cancel();
      resumed.push(...subscription.positions);
      cursor = subscription.cursor;
    }
  })();
  const writers = range(1, 6).map(async (writer) => {
    for (const round of range(1, 15)) {
      const records = range(1, 1 + ((writer * round) % 9)).map(() => newRecord());
      await database.system.transaction().execute(async (trx) => {
        await appendRecords(trx, records, START_MS);
        // The first writer dawdles between taking positions and committing.
        if (writer === 1) await sql`select pg_sleep(0.01)`.execute(trx);
      });
      counts.push(records.length);
      ring();
    }
  });
  await Promise.all(writers);
  isWriting = false;
  ring();
  await reading;
  await steady.received(total());
  const { rows } = await sql<{ position: number }>`select position from record order by position`.execute(
    database.owner,
  );
  const stored = rows.map(({ position }) => Number(position));
  expect(stored.length).toBe(total());
  expect(steady.positions).toEqual(stored);
  expect(resumed).toEqual(stored);
});

test('a ring costs one read for all organizations that have subscribers here, and each gets its own records in order', async () => {
  const database = await openStore();
  const counted = countStatements(database);
  const organizations = range(1, 8).map((n) => `01900000-0000-7000-8000-0000000001${String(n).padStart(2, '0')}`);
  const { connect, ring } = await openHarness(createTelemetryReader(counted.database), {
    principals: Object.fromEntries(organizations.map((id) => [id, principal({ organizationId: id, keyId: id })])),
  });
  const append = (...owners: string[]) =>
    database.system.transaction().execute((trx) =>
      appendRecords(
        trx,
        owners.map((organizationId) => newRecord({ organizationId })),
        START_MS,
      ),
    );
  await append(...organizations, OTHER_ORGANIZATION);
  const subscriptions = organizations.map((id) => connect({}, id));
  await Promise.all(subscriptions.map((subscription) => subscription.begun()));
  await settled(counted.statements);
  const before = counted.statements();
  await append(...organizations, OTHER_ORGANIZATION, ...organizations);
  ring();
  await Promise.all(subscriptions.map((subscription) => subscription.received(2)));
  await settled(counted.statements);
  expect(subscriptions.map(({ positions }) => positions)).toEqual(range(1, 8).map((n) => [9 + n, 18 + n]));
  // How far everything is visible, and the records.
  expect(counted.statements() - before).toBe(2);
});

/** The database, and how many statements and transactions it was asked for so far. */
function countStatements(database: Database): { readonly database: Database; readonly statements: () => number } {
  let count = 0;
  const plugin: KyselyPlugin = {
    transformQuery({ node }) {
      count += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const within: Database['within'] = (organizationId, work, access) => {
    count += 1;
    return database.within(organizationId, work, access);
  };
  const watched = { system: database.system.withPlugin(plugin), newest: database.newest.withPlugin(plugin) };
  return { database: { ...database, ...watched, within }, statements: () => count };
}

test('what PostgreSQL gives arrives as it is stored: record, clocks, latest values', async () => {
  const database = await openStore();
  const { connect, ring } = await openHarness(createTelemetryReader(database));
  const append = (...records: NewRecord[]) =>
    database.system.transaction().execute((trx) => appendRecords(trx, records, START_MS + 5));
  const observedAtMs = START_MS - 60_000;
  await append(
    newRecord({ observedAtMs, signals: { gps: { latitude: 1.5, speedKph: 80 }, motion: { moving: true } } }),
  );
  const subscription = connect({ snapshot: true, filter: { signals: ['gps'] } });
  await vi.waitFor(() => expect(subscription.cursor).not.toBe(''), WAIT);
  await append(
    newRecord({ organizationId: OTHER_ORGANIZATION }),
    newRecord({ signals: { gps: { latitude: null } }, states: { 'gps.latitude': 'error' }, deviceAtMs: START_MS + 1 }),
  );
  ring();
  await subscription.received(1);
  const [first] = subscription.messages;
  const asset = first!.event.case === 'snapshot' ? first!.event.value.assets[0] : undefined;
  expect(asset).toMatchObject({ assetId: ASSET, assetKind: 'trailer', vin: '1M8GDM9AXKP042788' });
  expect(Object.keys(asset!.metrics).sort()).toEqual(['gps.latitude', 'gps.speedKph']);
  expect(asset!.metrics['gps.speedKph']).toMatchObject({
    value: { kind: { case: 'numberValue', value: 80 } },
    observedAt: { seconds: BigInt(observedAtMs / 1000), nanos: 0 },
  });
  expect(subscription.positions).toEqual([3]);
  expect(subscription.records[0]).toMatchObject({
    assetId: ASSET,
    product: 'traccar',
    mappingVersion: 1,
    deviceAt: { seconds: BigInt(START_MS / 1000), nanos: 1_000_000 },
    processedAt: { nanos: 5_000_000 },
    states: { 'gps.latitude': 'error' },
  });
});
