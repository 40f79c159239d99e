import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Logger } from '../base/log.ts';
import { columnTypes } from './column-types.ts';
import type { Database, DurabilityClass, PostgresHost } from './database.ts';
import { asFault } from './database-fault.ts';
import type { Schema } from './schema.ts';

/** A statement that runs longer is a mistake or an attack: cancelled, so that it gives its connection back. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** A transaction left open holds locks and keeps dead rows alive. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000;
/** Waiting longer for a lock would only pile requests up behind it. */
const LOCK_TIMEOUT_MS = 5_000;
/** How long a caller waits for a free connection, or for one to be made, before it is told to come back. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A connection is replaced after this long: a backend's catalogue cache grows with every partition it has seen. */
const CONNECTION_LIFETIME_S = 1_800;

/**
 * Opens a pool of at most `poolSizeMax` connections on `host` and learns its durability class. The pool survives a
 * restart of PostgreSQL: broken connections are dropped and made anew by the next caller. Throws a
 * `temporarily-unavailable` Fault when the host cannot be reached.
 */
export async function openDatabase(
  host: PostgresHost,
  options: { poolSizeMax: number; log: Logger; applicationName: string },
): Promise<Database> {
  const { log, applicationName } = options;
  const pool = new pg.Pool({
    ...clientConfig(host, applicationName),
    max: options.poolSizeMax,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    maxLifetimeSeconds: CONNECTION_LIFETIME_S,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
  });
  const logLoss = (error: Error) => log.warn({ err: error }, 'A database connection was lost');
  // A connection can break while idle in the pool and while lent out between two statements; an `error` event that
  // nobody hears would end the process, and the caller learns of it from its next statement anyway.
  pool.on('error', () => {});
  pool.on('connect', (client) => void client.on('error', logLoss));
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  const close = async () => {
    await kysely.destroy();
    // Kysely ends only a pool it has used.
    if (!pool.ending) await pool.end();
  };
  try {
    const durability = await readDurability(pool);
    return {
      kysely,
      host,
      durability,
      async connectClient() {
        const client = new pg.Client({
          ...clientConfig(host, applicationName),
          connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        });
        client.on('error', logLoss);
        try {
          await client.connect();
        } catch (error) {
          throw asFault(error);
        }
        return client;
      },
      close,
    };
  } catch (error) {
    await close();
    throw asFault(error);
  }
}

/** The settings every client of ours connects with: UTC, ISO dates, our column types, TCP keep-alive. */
export function clientConfig(host: PostgresHost, applicationName: string): pg.ClientConfig {
  const given = host.connection.options ?? '';
  return {
    ...host.connection,
    types: columnTypes,
    application_name: applicationName,
    options: `${given} -c timezone=UTC -c datestyle=ISO`.trimStart(),
    keepAlive: true,
  };
}

async function readDurability(pool: pg.Pool): Promise<DurabilityClass> {
  const { rows } = await pool.query<{ fsync: string; pages: string; commit: string }>(
    `select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
            current_setting('synchronous_commit') as commit`,
  );
  const settings = rows[0]!;
  return settings.fsync === 'on' && settings.pages === 'on' && settings.commit !== 'off'
    ? 'power-loss'
    : 'process-crash';
}
