import fc from 'fast-check';
import { type Kysely, sql } from 'kysely';
import { expect } from 'vitest';
import type { Database } from '../src/database/database.ts';
import type { Schema } from '../src/database/schema.ts';

/**
 * Writers that commit in any order, are held open at any point, roll back or repeat each other, and readers that page
 * through what they write meanwhile, behind any filter and in pages that examine any number of records.
 */

/** Something that is appended to in transactions and paged through by position. */
export interface Feed {
  /** Appends one row for each seed; gives their names. */
  append(trx: Kysely<Schema>, seeds: readonly number[]): Promise<readonly string[]>;
  read(after: number, take: number, view?: View): Promise<Page>;
  head(): Promise<number>;
}

/** What a reader asks for. */
export interface View {
  readonly filter: FilterName;
  readonly examinedRowsMax: number;
}

export interface Page {
  readonly rows: readonly Row[];
  readonly through: number;
  readonly isCaughtUp: boolean;
}

export interface Row {
  readonly position: number;
  readonly name: string;
}

export const ASSETS = 5;

/** What a row is, by its seed. */
export const is = {
  ofAsset: (n: number) => (seed: number) => seed % ASSETS === n,
  /** The last of the assets. */
  ofPlant: (seed: number) => seed % ASSETS === ASSETS - 1,
  ofFleet: (seed: number) => seed % 3 === 0,
  ofTires: (seed: number) => seed % 7 === 0,
  /** Of another organization: no reader sees it. */
  elsewhere: (seed: number) => seed % 11 === 0,
};

export type FilterName = keyof typeof FILTERS;
const FILTERS = {
  none: () => true,
  fleet: is.ofFleet,
  asset: is.ofAsset(1),
  fleetAndAsset: (seed: number) => is.ofFleet(seed) || is.ofAsset(2)(seed),
  tires: is.ofTires,
  tiresOfFleet: (seed: number) => is.ofTires(seed) && is.ofFleet(seed),
  noPlants: (seed: number) => !is.ofPlant(seed),
  onePlant: is.ofPlant,
  nothing: () => false,
};

export function passes(filter: FilterName, seed: number): boolean {
  return !is.elsewhere(seed) && FILTERS[filter](seed);
}

export const EVERYTHING: View = { filter: 'none', examinedRowsMax: 10_000 };

export interface Plan {
  /** The transactions of each writer, one after the other; writers run side by side. */
  readonly writers: readonly (readonly PlannedTransaction[])[];
  readonly readers: readonly PlannedReader[];
}

interface PlannedReader extends View {
  /** The `take` of its pages, over and over. */
  readonly takes: readonly number[];
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

const plannedReader = fc.record({
  takes: fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 }),
  filter: fc.constantFrom(...(Object.keys(FILTERS) as FilterName[])),
  examinedRowsMax: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(EVERYTHING.examinedRowsMax)),
});

export const plans: fc.Arbitrary<Plan> = fc.record({
  writers: fc.array(fc.array(plannedTransaction, { minLength: 1, maxLength: 6 }), { minLength: 2, maxLength: 5 }),
  readers: fc.array(plannedReader, { minLength: 1, maxLength: 3 }),
});

interface Outcome {
  /** Name -> seed. */
  readonly committed: ReadonlyMap<string, number>;
  /** Positions taken by committed transactions. What comes twice in one of them takes one. */
  readonly taken: number;
  /** What there is in the end. */
  readonly whole: readonly Row[];
  readonly readers: readonly Seen[];
}

interface Seen {
  readonly filter: FilterName;
  readonly rows: readonly Row[];
  /** Pages that had not caught up and whose cursor had not moved. */
  readonly stuck: number;
  /** Names that had been committed before a page was asked for that said it had caught up without them. */
  readonly missed: readonly string[];
}

export async function play(database: Database, feed: Feed, plan: Plan): Promise<Outcome> {
  const committed = new Map<string, number>();
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
        taken += new Set(names).size;
        for (const [n, name] of names.entries()) committed.set(name, seeds[n]!);
      } finally {
        if (!trx.isCommitted && !trx.isRolledBack) await trx.rollback().execute();
      }
    }
  }

  async function readAll({ takes, ...view }: PlannedReader): Promise<Seen> {
    const rows: Row[] = [];
    const missed: string[] = [];
    let stuck = 0;
    let after = startPosition;
    for (let turn = 0; ; turn += 1) {
      const isLast = areWritersDone;
      const before = namesThatPass(committed, view.filter);
      const page = await feed.read(after, takes[turn % takes.length]!, view);
      rows.push(...page.rows);
      pages.count();
      if (page.isCaughtUp) missed.push(...before.filter((name) => !rows.some((row) => row.name === name)));
      else if (page.through <= after) stuck += 1;
      after = page.through;
      if (isLast && page.isCaughtUp) return { filter: view.filter, rows, stuck, missed };
    }
  }

  const reading = Promise.all(plan.readers.map(readAll));
  // Settled and not all: a writer that fails must not leave the others in the middle of their transactions.
  const written = await Promise.allSettled(plan.writers.map(write));
  areWritersDone = true;
  const readers = await reading;
  for (const result of written) if (result.status === 'rejected') throw result.reason;
  const { rows: whole } = await feed.read(startPosition, 10_000);
  return { committed, taken, whole, readers };
}

function namesThatPass(committed: ReadonlyMap<string, number>, filter: FilterName): string[] {
  return [...committed].filter(([, seed]) => passes(filter, seed)).map(([name]) => name);
}

/** An open transaction that has a number of its own already: the kind a horizon would have to wait for. */
export async function begin(database: Database) {
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

export function expectWholeAndInOrder({ committed, whole, readers }: Outcome): void {
  for (const { filter, rows, stuck, missed } of readers) {
    const positions = rows.map((row) => row.position);
    expect(positions, 'order').toEqual(positions.toSorted((a, b) => a - b));
    expect(new Set(positions).size, 'repeats').toBe(positions.length);
    const expected = namesThatPass(committed, filter);
    expect(rows.map((row) => row.name).toSorted(), 'skips and repeats').toEqual(expected.toSorted());
    expect(rows, 'the same feed for every reader').toEqual(whole.filter(({ name }) => expected.includes(name)));
    expect(missed, 'caught up without them').toEqual([]);
    expect(stuck, 'pages that neither moved nor had caught up').toBe(0);
  }
}
