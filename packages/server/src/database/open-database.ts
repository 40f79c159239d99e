import type { Logger } from '@gladhand/base/log.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { Kysely, PostgresDialect, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import { columnTypes } from './column-types.ts';
import type { Database, DurabilityClass, PostgresHost } from './database.ts';
import { asFault } from './database-fault.ts';
import { APP_ROLE, ensureRoles, SYSTEM_ROLE } from './roles.ts';
import type { Schema } from './schema.ts';
import { createWithin } from './within.ts';

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
/** New partitions are rare and made one at a time. */
const OWNER_CONNECTIONS_MAX = 1;
/** Reads of the newest records are short, one after the other, and few: one for each ring and one for each new stream. */
const NEWEST_CONNECTIONS_MAX = 1;

/**
 * Opens pools of together at most `poolSizeMax` connections (but one of each kind, and one more for the newest records once
 * they are read) on `host`, makes sure of the roles they work as, and learns the durability class. The pools survive a restart of PostgreSQL: broken connections are
 * dropped and made anew by the next caller. Throws a `temporarily-unavailable` Fault when the host cannot be reached
 * and a StartRefusal when it cannot hold organizations apart.
 */
export async function openDatabase(
  host: PostgresHost,
  options: { poolSizeMax: number; log: Logger; applicationName: string; ownerConnectionsMax?: number },
): Promise<Database> {
  const { log, applicationName, ownerConnectionsMax = OWNER_CONNECTIONS_MAX } = options;
  const logLoss = (error: Error) => log.warn({ err: error }, 'A database connection was lost');
  // Reading must never keep intake and mapping waiting, nor they it.
  const systemConnectionsMax = Math.max(1, Math.ceil((options.poolSizeMax - OWNER_CONNECTIONS_MAX) / 3));
  const appConnectionsMax = Math.max(1, options.poolSizeMax - OWNER_CONNECTIONS_MAX - systemConnectionsMax);
  const open = (connectionsMax: number, role?: string, settings = '') => {
    const config = clientConfig(host, applicationName, role);
    return openPool({ ...config, options: `${config.options}${settings}`, max: connectionsMax }, logLoss);
  };
  const app = open(appConnectionsMax, APP_ROLE);
  const system = open(systemConnectionsMax, SYSTEM_ROLE);
  const newest = open(NEWEST_CONNECTIONS_MAX, SYSTEM_ROLE, `${IN_INDEX_ORDER} -c enable_seqscan=off`);
  const owner = open(ownerConnectionsMax);
  const pools = [app, system, newest, owner];
  const connectClient = async (role?: string) => {
    const client = new pg.Client({
      ...clientConfig(host, applicationName, role),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    client.on('error', logLoss);
    try {
      await client.connect();
    } catch (error) {
      throw asFault(error);
    }
    return client;
  };
  const close = async () => {
    await Promise.all(pools.map((pool) => pool.close()));
  };
  try {
    const durability = await prepare(await connectClient(), host.place);
    await Promise.all([requireRole(app, APP_ROLE, host.place), requireRole(system, SYSTEM_ROLE, host.place)]);
    return {
      within: createWithin(app.kysely),
      system: system.kysely,
      newest: newest.kysely,
      owner: owner.kysely,
      host,
      durability,
      connectClient: () => connectClient(SYSTEM_ROLE),
      close,
    };
  } catch (error) {
    await close();
    throw asFault(error);
  }
}

/**
 * Everything read for an organization is a page in the order of an index. On a partition that has no statistics yet
 * the planner takes a bitmap and a sort for cheaper, and a page then costs as much as the whole rest of the walk.
 */
const IN_INDEX_ORDER = ' -c enable_bitmapscan=off';

/** A connection whose other end does not answer is given up after 20 to 30 s, here and by the server. */
const KEEPALIVE_IDLE_MS = 10_000;
const SERVER_KEEPALIVE =
  ' -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=30000';

/** The settings every client of ours connects with: UTC, ISO dates, our column types, TCP keep-alive, its role. */
export function clientConfig(host: PostgresHost, applicationName: string, role?: string): pg.ClientConfig {
  const given = host.connection.options ?? '';
  const asRole = role === undefined ? '' : ` -c role=${role}${role === APP_ROLE ? IN_INDEX_ORDER : ''}`;
  return {
    ...host.connection,
    types: columnTypes,
    application_name: applicationName,
    options: `${given} -c timezone=UTC -c datestyle=ISO${SERVER_KEEPALIVE}${asRole}`.trimStart(),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_IDLE_MS,
  };
}

interface Pool {
  readonly pg: pg.Pool;
  readonly kysely: Kysely<Schema>;
  close(): Promise<void>;
}

function openPool(config: pg.PoolConfig, logLoss: (error: Error) => void): Pool {
  const pool = new pg.Pool({
    ...config,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    maxLifetimeSeconds: CONNECTION_LIFETIME_S,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
  });
  // A connection can break while idle in the pool and while lent out between two statements; an `error` event that
  // nobody hears would end the process, and the caller learns of it from its next statement anyway.
  pool.on('error', () => {});
  pool.on('connect', (client) => void client.on('error', logLoss));
  const lend = {
    options: pool.options,
    connect: async () => releasedOnlyIdle(await pool.connect()),
    end: () => pool.end(),
  };
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: lend }) });
  return {
    pg: pool,
    kysely,
    async close() {
      await kysely.destroy();
      // Kysely ends only a pool it has used.
      if (!pool.ending) await pool.end();
    },
  };
}

/** A connection that is given back inside a transaction would carry it, and its organization, to the next caller. */
function releasedOnlyIdle(client: pg.PoolClient): PostgresPoolClient {
  const { release } = client;
  client.release = (broken) => release.call(client, broken || client.getTransactionStatus() !== 'I');
  return client as unknown as PostgresPoolClient;
}

async function prepare(client: pg.Client, place: string): Promise<DurabilityClass> {
  try {
    await ensureRoles(client, place);
    return await readDurability(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** A pooler that drops start-up options would leave us working as the owner, past every wall. */
async function requireRole(pool: Pool, role: string, place: string): Promise<void> {
  const { rows } = await pool.pg.query<{ name: string }>('select current_user as name');
  if (rows[0]!.name === role) return;
  throw new StartRefusal(
    `A connection to ${place} that asks to work as ${role} works as ${rows[0]!.name}: something in between drops the option. Connect to PostgreSQL directly, or through a pooler that passes \`options\` on.`,
  );
}

async function readDurability(client: pg.Client): Promise<DurabilityClass> {
  const { rows } = await client.query<{ fsync: string; pages: string; commit: string }>(
    `select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
            current_setting('synchronous_commit') as commit`,
  );
  const settings = rows[0]!;
  return settings.fsync === 'on' && settings.pages === 'on' && settings.commit !== 'off'
    ? 'power-loss'
    : 'process-crash';
}
