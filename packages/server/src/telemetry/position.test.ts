import fc from 'fast-check';
import { type Kysely, sql, type Transaction } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { systemIds } from '../base/ids.ts';
import type { Database } from '../database/database.ts';
import { createPartitions } from '../database/partitions.ts';
import type { Schema } from '../database/schema.ts';
import { appendRecords, type NewRecord } from './append.ts';
import { createTelemetryReader } from './read.ts';

/**
 * Decision 0001 under test: writers that commit in any order, are held open at any point, roll back or repeat each
 * other, and readers that page through what they write meanwhile. The same scenario is run against a plain sequence,
 * which fails it, to show that it can be failed.
 */
const FIRST_AT_MS = Date.UTC(2026, 2, 2);
const ASSETS = 5;

/** Something that is appended to in transactions and paged through by position. */
interface Feed {
  /** Appends one row for each seed; gives their names. */
  append(trx: Kysely<Schema>, seeds: readonly number[]): Promise<readonly string[]>;
  read(after: number, take: number): Promise<readonly Row[]>;
  head(): Promise<number>;
}

interface Row {
  readonly position: number;
  readonly name: string;
}

/** The telemetry room, for an organization of its own: equal seeds make equal records, which collapse. */
function telemetryFeed(database: Database): Feed {
  const organizationId = systemIds.uuid();
  const assetIds = Array.from({ length: ASSETS }, () => systemIds.uuid());
  const reader = createTelemetryReader(database);
  const toRecord = (seed: number): NewRecord => ({
    assetId: assetIds[seed % ASSETS]!,
    assetKind: 'trailer',
    organizationId,
    fleetId: null,
    deviceId: null,
    product: 'deliversafe',
    mappingVersion: 1,
    receiptId: systemIds.uuid(),
    observedAtMs: FIRST_AT_MS + seed * 1000,
    deviceAtMs: null,
    receivedAtMs: FIRST_AT_MS + seed * 1000,
    signals: { gps: { speedKph: seed } },
    states: undefined,
  });
  return {
    append: async (trx, seeds) => (await appendRecords(trx, seeds.map(toRecord), FIRST_AT_MS)).ids,
    async read(afterPosition, take) {
      const rows = await reader.feed({ organizationId, afterPosition, take });
      return rows.map(({ position, json }) => ({ position, name: JSON.parse(json).id }));
    },
    head: () => reader.head(),
  };
}

/** What one would write without thinking: an identity column, which counts when it is asked and not when it commits. */
async function sequenceFeed(database: Database): Promise<Feed> {
  const table = sql.table(`plain_${systemIds.randomBytes(6).toString('hex')}`);
  const { owner } = database;
  await sql`create table ${table} (position bigint generated always as identity primary key, name text)`.execute(owner);
  await sql`grant all on ${table} to public`.execute(owner);
  return {
    async append(trx, seeds) {
      const names = seeds.map(() => systemIds.uuid());
      await sql`insert into ${table} (name) select * from unnest(${names}::text[])`.execute(trx);
      return names;
    },
    async read(after, take) {
      const page = sql<Row>`select position, name from ${table} where position > ${after} order by position limit ${take}`;
      return (await page.execute(owner)).rows;
    },
    head: async () => 0,
  };
}

interface Plan {
  /** The transactions of each writer, one after the other; writers run side by side. */
  readonly writers: readonly (readonly PlannedTransaction[])[];
  /** The `take` of each reader's pages, over and over. */
  readonly readers: readonly (readonly number[])[];
}

interface PlannedTransaction {
  readonly seeds: readonly number[];
  /** Pages the readers get through while the transaction is open and has no position yet. */
  readonly pagesBefore: number;
  /** Pages they get through while it has its positions and is not committed. */
  readonly pagesAfter: number;
  readonly ends: 'commit' | 'rollback';
}

const plannedTransaction = fc.record({
  seeds: fc.array(fc.nat({ max: 400 }), { minLength: 1, maxLength: 6 }),
  pagesBefore: fc.nat({ max: 5 }),
  pagesAfter: fc.nat({ max: 5 }),
  ends: fc.constantFrom('commit' as const, 'commit' as const, 'commit' as const, 'rollback' as const),
});

const plans: fc.Arbitrary<Plan> = fc.record({
  writers: fc.array(fc.array(plannedTransaction, { minLength: 1, maxLength: 6 }), { minLength: 2, maxLength: 5 }),
  readers: fc.array(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 3,
  }),
});

interface Outcome {
  readonly committed: ReadonlySet<string>;
  /** Positions taken by committed transactions, repeats included. */
  readonly taken: number;
  readonly readers: readonly (readonly Row[])[];
}

async function play(database: Database, feed: Feed, plan: Plan): Promise<Outcome> {
  const committed = new Set<string>();
  const startPosition = await feed.head();
  const pages = createPageCount();
  let taken = 0;
  let areWritersDone = false;

  async function write(transactions: readonly PlannedTransaction[]): Promise<void> {
    for (const { seeds, pagesBefore, pagesAfter, ends } of transactions) {
      const trx = await begin(database);
      try {
        await pages.after(pagesBefore);
        const names = await feed.append(trx, seeds);
        await pages.after(pagesAfter);
        await trx[ends]().execute();
        if (ends === 'rollback') continue;
        taken += names.length;
        for (const name of names) committed.add(name);
      } finally {
        if (!trx.isCommitted && !trx.isRolledBack) await trx.rollback().execute();
      }
    }
  }

  async function readAll(takes: readonly number[]): Promise<Row[]> {
    const seen: Row[] = [];
    for (let page = 0; ; page += 1) {
      const isLast = areWritersDone;
      const rows = await feed.read(seen.at(-1)?.position ?? startPosition, takes[page % takes.length]!);
      seen.push(...rows);
      pages.count();
      if (isLast && rows.length === 0) return seen;
    }
  }

  const reading = Promise.all(plan.readers.map(readAll));
  // Settled and not all: a writer that fails must not leave the others in the middle of their transactions.
  const written = await Promise.allSettled(plan.writers.map(write));
  areWritersDone = true;
  const readers = await reading;
  for (const result of written) if (result.status === 'rejected') throw result.reason;
  return { committed, taken, readers };
}

/** An open transaction that has a number of its own already: the kind a horizon would have to wait for. */
async function begin(database: Database) {
  const trx = await database.system.startTransaction().execute();
  await sql`select pg_current_xact_id()`.execute(trx);
  return trx;
}

/** Counts pages; `after(n)` resolves when n more have been read. */
function createPageCount(): { count(): void; after(pages: number): Promise<void> } {
  let read = 0;
  let waiting: { at: number; resolve: () => void }[] = [];
  return {
    count() {
      read += 1;
      for (const one of waiting) if (one.at <= read) one.resolve();
      waiting = waiting.filter((one) => one.at > read);
    },
    after: (pages) =>
      pages === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push({ at: read + pages, resolve })),
  };
}

function expectWholeAndInOrder({ committed, readers }: Outcome): void {
  for (const seen of readers) {
    const positions = seen.map((row) => row.position);
    expect(positions, 'order').toEqual(positions.toSorted((a, b) => a - b));
    expect(new Set(positions).size, 'repeats').toBe(positions.length);
    expect(seen.map((row) => row.name).toSorted(), 'skips and repeats').toEqual([...committed].toSorted());
    expect(seen, 'every reader sees the same feed').toEqual(readers[0]);
  }
}

const PATIENT = { numRuns: 40, endOnFailure: true } as const;

test('a reader never misses and never repeats a record, whatever commits late, is held open, rolls back or comes twice', async () => {
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
    examples: [[{ writers: [[held], [quick]], readers: [[3]] }]],
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
  expect(seen.map((row) => row.name)).toEqual(others);
  const late = await feed.append(held, [5, 6]);
  await held.commit().execute();
  expect((await feed.read(seen.at(-1)!.position, 100)).map((row) => row.name)).toEqual(late);
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
    expect(await feed.read(0, 100)).toEqual([]);
    expect(await feed.head()).toBe(0);
    await holder[ends]().execute();
    const second = await next;
    const seen = await feed.read(0, 100);
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
