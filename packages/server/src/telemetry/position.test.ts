import { systemIds } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { sql, type Transaction } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import {
  ASSETS,
  begin,
  EVERYTHING,
  expectWholeAndInOrder,
  type Feed,
  type FilterName,
  is,
  passes,
  plans,
  play,
  type Row,
} from '../../test/feed-scenario.ts';
import type { Database } from '../database/database.ts';
import { createPartitions } from '../database/partitions.ts';
import type { Schema } from '../database/schema.ts';
import { appendRecords, type NewRecord } from './append.ts';
import { createTelemetryReader, type FeedFilter } from './read.ts';
import { signalGroupBits } from './signal-groups.ts';

/**
 * Decisions 0001 and 0010 under test. The same scenario is run against a plain sequence, which fails it, to show that it
 * can be failed.
 */
const FIRST_AT_MS = Date.UTC(2026, 2, 2);

/** The telemetry room, for an organization of its own: equal seeds make equal records, which collapse. */
function telemetryFeed(database: Database): Feed {
  const [organizationId, elsewhereId, fleetId] = [systemIds.uuid(), systemIds.uuid(), systemIds.uuid()];
  const assetIds = Array.from({ length: ASSETS }, () => systemIds.uuid());
  const plantId = assetIds[ASSETS - 1]!;
  const asked: Record<FilterName, Omit<FeedFilter, 'organizationId'>> = {
    none: {},
    fleet: { fleetIds: [fleetId] },
    asset: { assetIds: [assetIds[1]!] },
    fleetAndAsset: { fleetIds: [fleetId], assetIds: [assetIds[2]!] },
    tires: { signalGroups: signalGroupBits(['tires', 'doors']) },
    tiresOfFleet: { signalGroups: signalGroupBits(['tires']), fleetIds: [fleetId] },
    noPlants: { plantIds: new Set() },
    onePlant: { plantIds: new Set([plantId]), assetIds: [plantId] },
    nothing: { signalGroups: signalGroupBits(['reefer']) },
  };
  const toRecord = (seed: number): NewRecord => ({
    assetId: assetIds[seed % ASSETS]!,
    assetKind: is.ofPlant(seed) ? 'plant' : 'trailer',
    organizationId: is.elsewhere(seed) ? elsewhereId : organizationId,
    fleetId: is.ofFleet(seed) ? fleetId : null,
    deviceId: null,
    product: 'deliversafe',
    mappingVersion: 1,
    receiptId: systemIds.uuid(),
    observedAtMs: FIRST_AT_MS + seed * 1000,
    deviceAtMs: null,
    receivedAtMs: FIRST_AT_MS + seed * 1000,
    signals: is.ofTires(seed) ? { tires: [] } : { gps: { speedKph: seed } },
    states: undefined,
  });
  return {
    append: async (trx, seeds) => (await appendRecords(trx, seeds.map(toRecord), FIRST_AT_MS)).ids,
    async read(afterPosition, take, { filter, examinedRowsMax } = EVERYTHING) {
      const reader = createTelemetryReader(database, examinedRowsMax);
      const page = await reader.feed({ organizationId, afterPosition, take, ...asked[filter] });
      return { ...page, rows: page.rows.map(({ position, json }) => ({ position, name: JSON.parse(json).id })) };
    },
    head: () => createTelemetryReader(database).head(),
  };
}

/** What one would write without thinking: an identity column, which counts when it is asked and not when it commits. */
async function sequenceFeed(database: Database): Promise<Feed> {
  const table = sql.table(`plain_${systemIds.randomBytes(6).toString('hex')}`);
  const { owner } = database;
  const seedOf = new Map<string, number>();
  await sql`create table ${table} (position bigint generated always as identity primary key, name text)`.execute(owner);
  await sql`grant all on ${table} to public`.execute(owner);
  return {
    async append(trx, seeds) {
      const names = seeds.map(() => systemIds.uuid());
      for (const [n, name] of names.entries()) seedOf.set(name, seeds[n]!);
      await sql`insert into ${table} (name) select * from unnest(${names}::text[])`.execute(trx);
      return names;
    },
    async read(after, take, { filter } = EVERYTHING) {
      const page = sql<Row>`select position, name from ${table} where position > ${after} order by position limit ${take}`;
      const { rows } = await page.execute(owner);
      const passing = rows.filter(({ name }) => passes(filter, seedOf.get(name)!));
      return { rows: passing, through: rows.at(-1)?.position ?? after, isCaughtUp: rows.length < take };
    },
    head: async () => 0,
  };
}

const PATIENT = { numRuns: 40, endOnFailure: true } as const;

test('a reader behind any filter, in pages of any bound, never misses and never repeats a record, whatever commits late, is held open, rolls back or comes twice', async () => {
  const database = await openTelemetry();
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const feed = telemetryFeed(database);
      const before = await feed.head();
      const outcome = await play(database, feed, plan);
      expectWholeAndInOrder(outcome);
      expect(await feed.head(), 'rolled back positions are given again').toBe(before + outcome.taken);
    }),
    PATIENT,
  );
});

test('the same scenario catches a plain sequence skipping records, so it can tell', async () => {
  const database = await openTelemetry();
  const held = { seeds: [1], pagesBefore: 0, pagesAfter: 60, ends: 'commit' as const };
  const quick = { seeds: [2], pagesBefore: 20, pagesAfter: 0, ends: 'commit' as const };
  const property = fc.asyncProperty(plans, async (plan) => {
    expectWholeAndInOrder(await play(database, await sequenceFeed(database), plan));
  });
  const outcome = await fc.check(property, {
    ...PATIENT,
    examples: [[{ writers: [[held], [quick]], readers: [{ ...EVERYTHING, takes: [3] }] }]],
  });
  expect(outcome.failed).toBe(true);
  expect(String(outcome.errorInstance)).toContain('skips and repeats');
});

test('a transaction held open before it has positions neither stalls the feed nor gets its records lost', async () => {
  const database = await openTelemetry();
  const feed = telemetryFeed(database);
  const held = await begin(database);
  const others = await commit(database, feed, [1, 2, 3, 4]);
  const seen = await feed.read(0, 100);
  expect(seen.rows.map((row) => row.name)).toEqual(others);
  const late = await feed.append(held, [5, 6]);
  await held.commit().execute();
  expect((await feed.read(seen.through, 100)).rows.map((row) => row.name)).toEqual(late);
});

test.for(['commit', 'rollback'] as const)(
  'while a transaction holds positions nobody sees beyond it, and its %s lets the next one through',
  async (ends) => {
    const database = await openTelemetry();
    const feed = telemetryFeed(database);
    const holder = await begin(database);
    const first = await feed.append(holder, [1, 2]);
    const next = commit(database, feed, [3]);
    await vi.waitFor(async () => expect(await countWaiting(database)).toBe(1), { timeout: 4_000, interval: 5 });
    expect(await feed.read(0, 100)).toEqual({ rows: [], through: 0, isCaughtUp: true });
    expect(await feed.head()).toBe(0);
    await holder[ends]().execute();
    const second = await next;
    const seen = (await feed.read(0, 100)).rows;
    expect(seen.map((row) => row.name)).toEqual(ends === 'commit' ? [...first, ...second] : second);
    expect(seen.map((row) => row.position)).toEqual(ends === 'commit' ? [1, 2, 3] : [1]);
  },
);

async function openTelemetry(): Promise<Database> {
  const database = await openTestDatabase();
  await createPartitions(database).ensure('record', [FIRST_AT_MS]);
  return database;
}

async function commit(database: Database, feed: Feed, seeds: readonly number[]): Promise<readonly string[]> {
  return database.system.transaction().execute((trx: Transaction<Schema>) => feed.append(trx, seeds));
}

/** How many connections to this database wait for a lock. */
async function countWaiting(database: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
  `.execute(database.owner);
  return rows[0]!.count;
}
