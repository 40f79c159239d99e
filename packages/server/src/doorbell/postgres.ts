import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import type pg from 'pg';
import type { Database } from '../database/database.ts';
import { type Doorbell, TOPICS, type Topic } from './doorbell.ts';
import { createLocalDoorbell } from './local.ts';

/**
 * The doorbell between nodes on one PostgreSQL: LISTEN/NOTIFY. Rings of this process are heard here at once; other
 * nodes hear them over one connection of their own, which is made anew when it breaks (rings of that time are lost,
 * as the contract allows). Rings of one moment travel as one notification, because NOTIFY takes a lock at commit.
 */
const CHANNEL = 'gladhand_doorbell';
const RECONNECT_MS = 500;

export async function openPostgresDoorbell(parts: {
  database: Database;
  clock: Clock;
  log: Logger;
  nodeId: string;
}): Promise<Doorbell> {
  const { database, clock, log, nodeId } = parts;
  const local = createLocalDoorbell();
  const unsent = new Set<Topic>();
  let isSending = false;
  let isClosed = false;
  let client: pg.Client | undefined;
  let cancelReconnect = () => {};

  async function send(): Promise<void> {
    isSending = true;
    while (unsent.size > 0 && !isClosed) {
      const payload = `${nodeId} ${[...unsent].join(' ')}`;
      unsent.clear();
      await sql`select pg_notify(${CHANNEL}, ${payload})`.execute(database.system).catch(() => {});
    }
    isSending = false;
  }

  async function listen(): Promise<void> {
    const fresh = await database.connectClient();
    client = fresh;
    fresh.on('notification', ({ payload }) => {
      const [from, ...topics] = (payload ?? '').split(' ');
      if (from === nodeId) return;
      for (const topic of TOPICS) if (topics.includes(topic)) local.ring(topic);
    });
    fresh.on('end', reconnectSoon);
    await fresh.query(`listen ${CHANNEL}`);
    // Whatever was rung while nobody listened.
    for (const topic of TOPICS) local.ring(topic);
  }

  function reconnectSoon(): void {
    client = undefined;
    if (isClosed) return;
    cancelReconnect = clock.after(RECONNECT_MS, () => {
      listen().catch((error: unknown) => {
        log.warn({ err: error }, 'the doorbell could not be reached');
        reconnectSoon();
      });
    });
  }

  await listen();
  return {
    ring(topic) {
      if (isClosed) return;
      local.ring(topic);
      unsent.add(topic);
      if (!isSending) queueMicrotask(() => void (isSending || send()));
    },
    on: local.on,
    async close() {
      isClosed = true;
      cancelReconnect();
      await local.close();
      await client?.end().catch(() => {});
    },
  };
}
