import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type pg from 'pg';
import type { Database } from './database.ts';

/**
 * A duty that one node at a time has: a session lock of PostgreSQL. Promise: at most one holder, and when the holder
 * dies or loses its connection the next one has it within `RETRY_MS` of the server's noticing. It keeps nodes from
 * doing the same work twice; what must not happen twice is still decided by the transaction that does it.
 */
export interface Lease {
  readonly isHeld: boolean;
  close(): Promise<void>;
}

const RETRY_MS = 1_000;

export function openLease(parts: {
  database: Database;
  clock: Clock;
  log: Logger;
  name: string;
  onHeld: () => void;
}): Lease {
  const { database, clock, log, name } = parts;
  let client: pg.Client | undefined;
  let isHeld = false;
  let isClosed = false;
  let cancelRetry = () => {};

  async function attempt(): Promise<void> {
    client ??= await connect();
    const { rows } = await client.query<{ held: boolean }>(
      'select pg_try_advisory_lock(hashtext($1), hashtext($2)) as held',
      ['lease', name],
    );
    if (isClosed) return;
    isHeld = rows[0]?.held === true;
    if (isHeld) parts.onHeld();
    else retrySoon();
  }

  async function connect(): Promise<pg.Client> {
    const fresh = await database.connectClient();
    fresh.once('end', () => {
      client = undefined;
      isHeld = false;
      retrySoon();
    });
    return fresh;
  }

  function retrySoon(): void {
    if (isClosed) return;
    cancelRetry();
    cancelRetry = clock.after(RETRY_MS, start);
  }

  let attempted = Promise.resolve();
  function start(): void {
    attempted = attempt().catch((error: unknown) => {
      log.debug({ err: error, name }, 'the lease could not be asked for');
      retrySoon();
    });
  }
  start();

  return {
    get isHeld() {
      return isHeld;
    },
    async close() {
      isClosed = true;
      cancelRetry();
      await attempted;
      isHeld = false;
      await client?.end().catch(() => {});
    },
  };
}
