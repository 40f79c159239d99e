import { type Kysely, sql } from 'kysely';
import type { Database } from './database.ts';
import { asFault } from './database-fault.ts';
import type { Schema } from './schema.ts';

/**
 * Time partitions, made when data for them arrives and dropped when it has aged out. Promise: after `ensure` every
 * given instant has a partition, whichever node made it and however many try at once; readers and writers of the
 * table are never held up by a new partition. Assumes the caller has bounded the instants (a device may claim any
 * year) and holds no lock on the table in a transaction of its own. Fails with `temporarily-unavailable`.
 */
export interface Partitions {
  /** Makes the missing partitions of `table` for these instants (ms since the epoch, any order, repeats welcome). */
  ensure(table: PartitionedTable, atMs: Iterable<number>): Promise<void>;
  /**
   * Detaches the partitions of `table` that end at or before `beforeMs` and gives their names, oldest first. Their rows
   * are kept until `dropRetired`; `ensure` attaches one again that is needed. A partition somebody is reading is left
   * for the next time rather than waited for.
   */
  retireBefore(table: PartitionedTable, beforeMs: number): Promise<string[]>;
  /** Drops the partitions that were detached a day ago or earlier, by the database's clock, and gives their names. */
  dropRetired(): Promise<string[]>;
  /** Forgets what is known to exist: to be called after `isMissingPartition`, when another node dropped one. */
  forget(table: PartitionedTable): void;
}

export type PartitionedTable = 'envelope' | 'receipt' | 'record';

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** 1970-01-05 was the first Monday of the epoch; weeks are ISO 8601's, Monday to Sunday, UTC. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** A partition holds `[originMs + n * spanMs, originMs + (n + 1) * spanMs)` of `column`; `n` is its slot. */
interface Span {
  readonly column: string;
  readonly spanMs: number;
  readonly originMs: number;
  readonly suffix: (fromMs: number) => string;
}

const SPANS: Readonly<Record<PartitionedTable, Span>> = {
  envelope: { column: 'received_at', spanMs: DAY_MS, originMs: 0, suffix: daySuffix },
  receipt: { column: 'received_at', spanMs: DAY_MS, originMs: 0, suffix: daySuffix },
  record: { column: 'observed_at', spanMs: WEEK_MS, originMs: FIRST_MONDAY_MS, suffix: weekSuffix },
};

/** How long a detached partition is kept. */
const RETIRED_KEPT_MS = DAY_MS;
/** How long detaching waits for the readers of a table; new readers queue behind it meanwhile. */
const RETIRE_LOCK_TIMEOUT_MS = 200;
const LOCK_NOT_AVAILABLE = '55P03';
const CHECK_VIOLATION = '23514';

export function createPartitions(database: Database): Partitions {
  const known: Record<PartitionedTable, Set<number>> = { envelope: new Set(), receipt: new Set(), record: new Set() };
  // Batches of one moment want the same new partition: they share the making of it.
  const making = new Map<string, Promise<void>>();

  function make(table: PartitionedTable, slot: number): Promise<void> {
    const name = partitionName(table, slot);
    let made = making.get(name);
    if (made === undefined) {
      made = createPartition(database.owner, table, slot)
        .then(() => void known[table].add(slot))
        .finally(() => making.delete(name));
      making.set(name, made);
    }
    return made;
  }

  return {
    async ensure(table, atMs) {
      const missing = new Set<number>();
      for (const instantMs of atMs) {
        const slot = slotOf(table, instantMs);
        if (!known[table].has(slot)) missing.add(slot);
      }
      try {
        for (const slot of [...missing].sort((a, b) => a - b)) await make(table, slot);
      } catch (error) {
        throw asFault(error);
      }
    },

    async retireBefore(table, beforeMs) {
      const retired: string[] = [];
      try {
        const partitions = await findPartitions(database.owner, table);
        const isPast = ({ slot }: { slot: number }) => slotFromMs(table, slot + 1) <= beforeMs;
        for (const { name, slot } of partitions.filter(isPast)) {
          known[table].delete(slot);
          if (await retirePartition(database.owner, table, name)) retired.push(name);
        }
        const kept = partitions.filter((partition) => !isPast(partition)).map(({ name }) => name);
        if (kept.length > 0) await database.owner.deleteFrom('retired_partition').where('name', 'in', kept).execute();
      } catch (error) {
        throw asFault(error);
      }
      return retired;
    },

    async dropRetired() {
      const dropped: string[] = [];
      try {
        for (const name of await findRetired(database.owner))
          if (await dropPartition(database.owner, name)) dropped.push(name);
      } catch (error) {
        throw asFault(error);
      }
      return dropped;
    },

    forget(table) {
      known[table].clear();
    },
  };
}

/** Whether an insert failed because its partition is not there (any more). */
export function isMissingPartition(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error as { code?: string }).code === CHECK_VIOLATION && error.message.startsWith('no partition of relation');
}

function slotOf(table: PartitionedTable, atMs: number): number {
  const { spanMs, originMs } = SPANS[table];
  return Math.floor((atMs - originMs) / spanMs);
}

function slotFromMs(table: PartitionedTable, slot: number): number {
  const { spanMs, originMs } = SPANS[table];
  return originMs + slot * spanMs;
}

/** `envelope_20261123`, `record_2026w47`: sorts as its time does. */
function partitionName(table: PartitionedTable, slot: number): string {
  return `${table}_${SPANS[table].suffix(slotFromMs(table, slot))}`;
}

function daySuffix(fromMs: number): string {
  return new Date(fromMs).toISOString().slice(0, 10).replaceAll('-', '');
}

/** The ISO 8601 week that begins on the Monday `fromMs`: its year is that of its Thursday. */
function weekSuffix(fromMs: number): string {
  const year = new Date(fromMs + 3 * DAY_MS).getUTCFullYear();
  const week = 1 + Math.floor((fromMs + 3 * DAY_MS - Date.UTC(year, 0, 1)) / WEEK_MS);
  return `${year}w${String(week).padStart(2, '0')}`;
}

/**
 * Makes an ordinary table first and attaches it then: `create table ... partition of` would lock the parent against
 * everybody and queue behind its longest reader, `attach partition` goes beside readers and writers.
 */
async function createPartition(kysely: Kysely<Schema>, table: PartitionedTable, slot: number): Promise<void> {
  const name = partitionName(table, slot);
  const [from, to] = [slot, slot + 1].map((at) => sql.lit(new Date(slotFromMs(table, at)).toISOString()));
  await kysely.transaction().execute(async (transaction) => {
    // One maker per table at a time, over all nodes: whoever comes second finds the first one's work.
    await sql`select pg_advisory_xact_lock(hashtext('partition'), hashtext(${table}))`.execute(transaction);
    const { rows } = await sql<{ isAttached: boolean }>`
      select relispartition as "isAttached" from pg_class where oid = to_regclass(${name})`.execute(transaction);
    if (rows[0]?.isAttached) return;
    // One that was retired is there, and is attached again with what it has.
    if (rows[0] === undefined) {
      await sql`create table ${sql.table(name)} (like ${sql.table(table)} including all)`.execute(transaction);
      // Policies are not among what `like` copies.
      await sql`select bind_to_organization(${name}::regclass)`.execute(transaction);
    }
    await sql`alter table ${sql.table(table)} attach partition ${sql.table(name)} for values from (${from}) to (${to})`.execute(
      transaction,
    );
  });
}

/** The partitions of `table` and their slots, oldest first. */
async function findPartitions(
  kysely: Kysely<Schema>,
  table: PartitionedTable,
): Promise<{ name: string; slot: number }[]> {
  const { rows } = await sql<{ name: string; from: Date }>`
    select child.relname as name,
           substring(pg_get_expr(child.relpartbound, child.oid) from 'FROM \\(''([^'']+)''\\)')::timestamptz as "from"
      from pg_inherits join pg_class child on child.oid = inhrelid
     where inhparent = to_regclass(${table})
     order by 2`.execute(kysely);
  return rows.map(({ name, from }) => ({ name, slot: slotOf(table, from.getTime()) }));
}

/**
 * What is past its retention is out of sight at once and gone a day later: until then a wrong clock or a wrong setting
 * has lost nothing. The mark stays when a late row has it attached again, so that it is dropped in the end.
 */
function retirePartition(kysely: Kysely<Schema>, table: PartitionedTable, name: string): Promise<boolean> {
  return unlessInUse(kysely, async (transaction) => {
    await sql`alter table ${sql.table(table)} detach partition ${sql.table(name)}`.execute(transaction);
    await transaction
      .insertInto('retired_partition')
      .values({ name, parent: table })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

async function findRetired(kysely: Kysely<Schema>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from retired_partition r
     where retired_at <= now() - ${RETIRED_KEPT_MS} * interval '1 millisecond'
       and not exists (select from pg_class c where c.oid = to_regclass(r.name) and c.relispartition)
     order by name`.execute(kysely);
  return rows.map(({ name }) => name);
}

function dropPartition(kysely: Kysely<Schema>, name: string): Promise<boolean> {
  return unlessInUse(kysely, async (transaction) => {
    await sql`drop table if exists ${sql.table(name)}`.execute(transaction);
    await transaction.deleteFrom('retired_partition').where('name', '=', name).execute();
  });
}

async function unlessInUse(
  kysely: Kysely<Schema>,
  work: (transaction: Kysely<Schema>) => Promise<void>,
): Promise<boolean> {
  try {
    await kysely.transaction().execute(async (transaction) => {
      await sql`set local lock_timeout = ${sql.lit(RETIRE_LOCK_TIMEOUT_MS)}`.execute(transaction);
      await work(transaction);
    });
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}
