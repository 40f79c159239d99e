import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { type Kysely, sql } from 'kysely';
import type pg from 'pg';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/**
 * A duty that one node at a time has: a row with a holder, an expiry and a fencing number that rises with each new
 * holder. Promise: a holder that stops renewing, frozen or cut off, is replaced once its time is over, by the
 * database's clock, and at once where its session has ended; a transaction that calls `guard` commits only if no other
 * holder has begun. Assumes that transactions end by themselves when their client is silent (idle_in_transaction_session_timeout).
 */
export interface Lease {
  /** Whether this node may begin work; what it does is decided by `guard`. */
  readonly isHeld: boolean;
  /** The fencing number of this holder; undefined while it is none. */
  readonly fence: number | undefined;
  /** Keeps any other holder from beginning until `trx` ends. Throws `temporarily-unavailable` when one has begun. */
  guard(trx: Kysely<Schema>): Promise<void>;
  close(): Promise<void>;
}

/** A frozen holder is replaced after this long. */
const LEASE_TTL_MS = 10_000;
/** Five renewals may be late before the lease is over. */
export const RENEW_MS = 2_000;
const RETRY_MS = 1_000;
/** A new holder waits this long for a transaction of the one before, then asks again. */
const LOCK_TIMEOUT_MS = 4_000;
/** A database that is there has answered by then. */
const ANSWER_MS_MAX = 5_000;

const RENEW = `
  update lease set expires_at = clock_timestamp() + $3 * interval '1 millisecond', backend_pid = pg_backend_pid()
  where name = $1 and holder = $2 returning fence`;

/** Takes no lock on a row that somebody has: it would stand between the holder and its renewal. */
const TAKE_OVER = `
  with made as (
    insert into lease (name, holder, fence, backend_pid, expires_at)
    values ($1, $2, 1, pg_backend_pid(), clock_timestamp() + $3 * interval '1 millisecond')
    on conflict do nothing returning fence
  ), taken as (
    update lease set holder = $2, fence = fence + 1, backend_pid = pg_backend_pid(),
      expires_at = clock_timestamp() + $3 * interval '1 millisecond'
    where name = $1 and (expires_at < clock_timestamp()
      or not exists (select from pg_stat_activity a where a.pid = lease.backend_pid))
    returning fence
  )
  select fence from made union all select fence from taken`;

/** `onHeld` is called when this node becomes the holder. */
export function openLease(parts: {
  database: Database;
  clock: Clock;
  ids: Ids;
  log: Logger;
  name: string;
  onHeld: () => void;
}): Lease {
  const { database, clock, log, name } = parts;
  const holder = parts.ids.uuid();
  let client: pg.Client | undefined;
  let fence: number | undefined;
  let heldUntilMs = 0;
  let isClosed = false;
  let cancelNext = () => {};

  async function ask(statement: string): Promise<number | undefined> {
    client ??= await connect();
    // The driver's types leave out what it can be told about one query.
    const query: pg.QueryConfig & { query_timeout: number } = {
      text: statement,
      values: [name, holder, LEASE_TTL_MS],
      query_timeout: ANSWER_MS_MAX,
    };
    const { rows } = await client.query<{ fence: number }>(query);
    return rows[0]?.fence;
  }

  async function attempt(): Promise<void> {
    const askedMs = clock.monotonicMs();
    const held = (await ask(RENEW)) ?? (await ask(TAKE_OVER));
    // Counted from before the question, so that this node's end comes before the database's.
    heldUntilMs = askedMs + LEASE_TTL_MS;
    const isNew = held !== undefined && held !== fence;
    fence = held;
    if (isNew && !isClosed) parts.onHeld();
    next(held === undefined ? RETRY_MS : RENEW_MS);
  }

  async function connect(): Promise<pg.Client> {
    const fresh = await database.connectClient();
    fresh.once('end', () => {
      if (client === fresh) client = undefined;
    });
    await fresh.query(`set lock_timeout = ${LOCK_TIMEOUT_MS}`);
    return fresh;
  }

  /** A connection that does not answer is not asked again. */
  function disconnect(): void {
    client?.end().catch(() => {});
    client = undefined;
  }

  function next(delayMs: number): void {
    if (isClosed) return;
    cancelNext();
    cancelNext = clock.after(delayMs, start);
  }

  let attempted = Promise.resolve();
  function start(): void {
    attempted = attempt().catch((error: unknown) => {
      log.debug({ err: error, name }, 'the lease could not be asked for');
      disconnect();
      next(RETRY_MS);
    });
  }
  start();

  return {
    get isHeld() {
      return fence !== undefined && !isClosed && clock.monotonicMs() < heldUntilMs;
    },
    get fence() {
      return fence;
    },
    async guard(trx) {
      // A renewal goes beside this lock; a new holder, who changes the key (name, fence), waits for it.
      const { rows } = await sql`
        select from lease where name = ${name} and fence = ${fence ?? 0} and holder = ${holder} for key share`.execute(
        trx,
      );
      if (rows.length > 0) return;
      fence = undefined;
      throw new Fault('temporarily-unavailable', `Another node has the lease ${name}.`, { retryAfterSeconds: 1 });
    },
    async close() {
      isClosed = true;
      cancelNext();
      await attempted;
      const giveUp = 'update lease set expires_at = clock_timestamp() where name = $1 and holder = $2';
      await client?.query(giveUp, [name, holder]).catch(() => {});
      await client?.end().catch(() => {});
    },
  };
}
