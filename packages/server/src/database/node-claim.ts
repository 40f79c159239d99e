import type { Clock } from '@gladhand/base/clock.ts';
import { sleep } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type pg from 'pg';
import type { Database } from './database.ts';

/**
 * What a node takes for granted about the other nodes on its database: that there are none (`sole`), or that there may
 * be some (`shared`). A session lock of PostgreSQL. Promise: of two nodes that contradict each other, the later one
 * learns it while it starts. A node that died is gone when the server notices, at once where the machine lives on.
 * While the connection is lost nothing is claimed; a contradiction that came up meanwhile is logged as an error.
 */
export type NodeClaim = 'sole' | 'shared';

/** How long the claim of a node that is shutting down is waited for. */
const WAIT_MS_MAX = 3_000;
const RETRY_MS = 100;
const RECLAIM_MS = 1_000;

/** Undefined when another node's claim contradicts this one. */
export async function openNodeClaim(parts: {
  database: Database;
  clock: Clock;
  log: Logger;
  claim: NodeClaim;
  waitMsMax?: number;
}): Promise<{ close(): Promise<void> } | undefined> {
  const { database, clock, log, claim, waitMsMax = WAIT_MS_MAX } = parts;
  const call = claim === 'sole' ? 'pg_try_advisory_lock' : 'pg_try_advisory_lock_shared';
  let client: pg.Client;
  let isClosed = false;
  let cancel = () => {};

  async function take(): Promise<boolean> {
    const { rows } = await client.query<{ held: boolean }>(
      `select ${call}(hashtext('node'), hashtext('claim')) as held`,
    );
    return rows[0]?.held === true;
  }

  async function connect(): Promise<void> {
    client = await database.connectClient();
    client.once('end', () => {
      if (!isClosed) cancel = clock.after(RECLAIM_MS, reclaim);
    });
  }

  function reclaim(): void {
    connect()
      .then(take)
      .then((isHeld) => {
        if (!isHeld) log.error({ claim }, 'another node on this database counts limits in another way than this one');
      })
      .catch(() => {
        if (!isClosed) cancel = clock.after(RECLAIM_MS, reclaim);
      });
  }

  await connect();
  const close = async () => {
    isClosed = true;
    cancel();
    await client.end().catch(() => {});
  };
  try {
    const startedMs = clock.monotonicMs();
    while (!(await take())) {
      if (clock.monotonicMs() - startedMs >= waitMsMax) {
        await close();
        return undefined;
      }
      await sleep(clock, RETRY_MS);
    }
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}
