import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { plainArray } from '../database/plain-array.ts';
import type { Envelope, IntakeBatch } from './intake-log.ts';
import type { TakeFloor } from './take-floor.ts';

/** The SQL of taking from the log: batches, what is deferred, and what is left. */
interface Entry {
  readonly sequence: number;
  readonly envelope_id: string;
  readonly received_at: Date;
}

interface TakenRow {
  sequence: number;
  id: string;
  received_at: Date;
  organization_id: string;
  key_id: string;
  partner_id: string;
  product: string;
  vin: string | null;
  plant_id: string | null;
  body: Buffer;
}

export async function takeBatch(
  database: Database,
  floor: TakeFloor,
  limits: { envelopesMax: number; bytesMax: number },
): Promise<IntakeBatch> {
  let expired = 0;
  for (;;) {
    const { rows: entries } = await sql<Entry>`
      select sequence, envelope_id, received_at from intake_log where sequence >= ${floor.sequence}
      order by sequence limit ${limits.envelopesMax}`.execute(database.system);
    const lowest = entries[0]?.sequence;
    if (lowest === undefined) return { ...toBatch(database, []), expired };
    await floor.onLowest(lowest);
    const taken = await selectEnvelopes(database, entries, limits.bytesMax);
    // Only what the limit of bytes cut off comes after the last one that was taken.
    const last = taken.at(-1)?.sequence ?? Number.POSITIVE_INFINITY;
    const found = new Set(taken.map(({ sequence }) => sequence));
    const missing = entries.filter(({ sequence }) => sequence < last && !found.has(sequence));
    if (missing.length > 0) expired += await endMissing(database, missing);
    if (taken.length > 0) return { ...toBatch(database, taken), expired };
  }
}

/**
 * Adds up lengths, which does not read long bodies, before it takes any: a backlog of large ones is read once, not
 * again and again. Each entry is looked up by its key. The first and the last instant are given as well, so that the
 * plan has only partitions between them: without, it locked and joined those of the whole retention (364 ms for 1,000
 * entries in 90 days). `offset 0` keeps the planner from joining partitions whole.
 */
async function selectEnvelopes(database: Database, entries: readonly Entry[], bytesMax: number): Promise<TakenRow[]> {
  const instantsMs = entries.map((entry) => entry.received_at.getTime());
  const [from, to] = [Math.min(...instantsMs), Math.max(...instantsMs)].map((atMs) => new Date(atMs));
  const { rows } = await sql<TakenRow>`
    select sequence, id, received_at, organization_id, key_id, partner_id, product, vin, plant_id, body from (
      select l.sequence, e.*, octet_length(e.body) as length, sum(octet_length(e.body)) over (order by l.sequence) as total
      from unnest(${sequences(entries)}, ${plainArray(
        'uuid',
        entries.map((entry) => entry.envelope_id),
      )}, ${plainArray(
        'timestamptz',
        entries.map((entry) => entry.received_at),
      )}) as l(sequence, envelope_id, received_at)
      cross join lateral (
        select * from envelope v where v.received_at = l.received_at and v.id = l.envelope_id
          and v.received_at between ${from}::timestamptz and ${to}::timestamptz offset 0
      ) e
    ) waiting
    where total <= ${bytesMax} or total = length
    order by sequence`.execute(database.system);
  return rows;
}

/** Ends entries that have no envelope, which the statement sees for itself, and gives how many they were. */
async function endMissing(database: Database, entries: readonly Entry[]): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from intake_log l where sequence = any(${sequences(entries)})
      and not exists (select from envelope e where e.received_at = l.received_at and e.id = l.envelope_id)`.execute(
    database.system,
  );
  return Number(numAffectedRows);
}

function toBatch(database: Database, taken: readonly TakenRow[]): Omit<IntakeBatch, 'expired'> {
  const entries = new Map(taken.map((row) => [toEnvelope(row), row]));
  const entriesOf = (envelopes: readonly Envelope[]) => envelopes.map((envelope) => entries.get(envelope)!);
  return {
    envelopes: [...entries.keys()],
    async acknowledge(envelopes) {
      // Not waited for on disk: an entry that comes back after a crash is taken again.
      await sql`
        with relaxed as materialized (select set_config('synchronous_commit', 'off', true))
        delete from intake_log using relaxed where sequence = any(${sequences(entriesOf(envelopes))})`.execute(
        database.system,
      );
    },
    async defer(envelopes) {
      await sql`
        with deferred as (
          delete from intake_log l using envelope e
          where l.sequence = any(${sequences(entriesOf(envelopes))})
            and e.received_at = l.received_at and e.id = l.envelope_id
            and e.received_at = any(${instants(envelopes)})
          returning l.sequence, l.envelope_id, l.received_at, e.product
        )
        insert into intake_deferred select * from deferred`.execute(database.system);
    },
    async findKeyed(envelopes) {
      // By the instant, which has an index.
      const { rows } = await sql<{ envelope_id: string }>`
        select i.envelope_id from idempotency i join unnest(${plainArray(
          'uuid',
          envelopes.map(({ id }) => id),
        )}, ${instants(envelopes)}) as t(envelope_id, received_at) using (received_at, envelope_id)`.execute(
        database.system,
      );
      return new Set(rows.map((row) => row.envelope_id));
    },
  };
}

export async function resume(database: Database, products: readonly string[], olderThanMs: number): Promise<void> {
  await sql`
    with resumed as (
      delete from intake_deferred where product = any(${products}::text[]) or received_at < ${new Date(olderThanMs)}
      returning sequence, envelope_id, received_at
    )
    insert into intake_log (sequence, envelope_id, received_at) overriding system value
    select sequence, envelope_id, received_at from resumed`.execute(database.system);
}

export async function countDeferred(database: Database): Promise<Map<string, number>> {
  const { rows } = await sql<{ product: string; count: number }>`
    select product, count(*) as count from intake_deferred group by product order by product`.execute(database.system);
  return new Map(rows.map(({ product, count }) => [product, count]));
}

export async function selectOldest(database: Database): Promise<number | undefined> {
  const { rows } = await sql<{ oldest: Date | null }>`
    select least((select min(received_at) from intake_log), (select min(received_at) from intake_deferred)) as oldest`.execute(
    database.system,
  );
  return rows[0]?.oldest?.getTime();
}

/** The transactions that write the log now: they hold this lock from before their first entry until they end. */
export async function selectWriters(database: Database): Promise<Set<string>> {
  const { rows } = await sql<{ transaction: string }>`
    select virtualtransaction as transaction from pg_locks
    where relation = 'intake_log'::regclass and mode = 'RowExclusiveLock'
      and database = (select oid from pg_database where datname = current_database())`.execute(database.system);
  return new Set(rows.map(({ transaction }) => transaction));
}

export function instants(envelopes: readonly { receivedAtMs: number }[]) {
  return plainArray(
    'timestamptz',
    envelopes.map(({ receivedAtMs }) => new Date(receivedAtMs)),
  );
}

function sequences(entries: readonly { sequence: number }[]) {
  return plainArray(
    'bigint',
    entries.map(({ sequence }) => sequence),
  );
}

function toEnvelope(row: TakenRow): Envelope {
  return {
    id: row.id,
    receivedAtMs: row.received_at.getTime(),
    organizationId: row.organization_id,
    keyId: row.key_id,
    partnerId: row.partner_id,
    product: row.product,
    asset: row.vin === null ? { plantId: row.plant_id! } : { vin: row.vin },
    body: row.body,
  };
}
