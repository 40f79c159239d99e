import { type Clock, sleep } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import pg from 'pg';
import type { PostgresHost } from './database.ts';
import { isUnavailable } from './database-fault.ts';

/** PostgreSQL 15: the oldest version our SQL is tested on. */
const VERSION_MIN = 15;
const CONNECT_TIMEOUT_MS = 10_000;
/** Waits before the tries to reach a server that went away; the last one repeats. */
const RECONNECT_DELAYS_MS = [50, 100, 250, 500, 1_000];

/**
 * Uses the PostgreSQL that `url` names. Keeps one connection of its own, by whose end it learns at once that the
 * server went away; `state` is `recovering` until a new one stands. Throws a StartRefusal when the URL is none, or
 * the server cannot be reached, refuses us, or is too old; never with the password in it.
 */
export async function openPostgresServer(options: { url: string; log: Logger; clock: Clock }): Promise<PostgresHost> {
  const { log, clock } = options;
  const connection = parseUrl(options.url);
  const place = `${connection.host}:${connection.port}/${connection.database}`;
  const closing = new AbortController();
  let state: PostgresHost['state'] = 'ready';

  async function watch(): Promise<pg.Client> {
    const client = new pg.Client({
      ...connection,
      application_name: 'gladhand watch',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    client.on('error', (error) => log.warn({ err: error }, 'The connection to PostgreSQL was lost'));
    try {
      await client.connect();
      await client.query('select 1');
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    client.once('end', () => {
      if (!closing.signal.aborted) recovery = recover();
    });
    return client;
  }

  async function recover(): Promise<void> {
    state = 'recovering';
    for (let attempt = 0; ; attempt += 1) {
      const delayMs = RECONNECT_DELAYS_MS[Math.min(attempt, RECONNECT_DELAYS_MS.length - 1)]!;
      try {
        await sleep(clock, delayMs, closing.signal);
        client = await watch();
        state = 'ready';
        log.info({ place }, 'PostgreSQL answers again');
        return;
      } catch (error) {
        if (closing.signal.aborted) return;
        if (attempt === 0) log.error({ err: error, place }, 'PostgreSQL does not answer; trying again');
      }
    }
  }

  let recovery = Promise.resolve();
  let client = await watch().catch((error) => {
    throw refusalOf(error, place, connection);
  });
  const { rows } = await client.query<{ version: number }>(
    "select current_setting('server_version_num')::int / 10000 as version",
  );
  const version = rows[0]!.version;
  if (version < VERSION_MIN) {
    closing.abort();
    await client.end();
    throw new StartRefusal(
      `The PostgreSQL at ${place} is version ${version}, and Gladhand needs ${VERSION_MIN} or newer. Upgrade it, or name another server in DATABASE_URL.`,
    );
  }
  return {
    connection,
    get state() {
      return state;
    },
    place,
    async close() {
      closing.abort();
      await recovery;
      await client.end().catch(() => {});
    },
  };
}

/** The URL's parts as the driver understands them, defaults and TLS settings filled in. */
function parseUrl(url: string): pg.ClientConfig & { host: string; port: number; database: string } {
  const refusal = new StartRefusal(
    'DATABASE_URL is not a PostgreSQL URL. It looks like postgres://user:password@host:5432/database, with special characters of the password percent-encoded.',
  );
  if (!/^postgres(ql)?:\/\//.test(url)) throw refusal;
  try {
    const parsed = new pg.Client({ connectionString: url }) as pg.Client & {
      connectionParameters: { options?: string };
    };
    return {
      host: parsed.host,
      port: parsed.port,
      user: parsed.user ?? '',
      password: parsed.password ?? '',
      database: parsed.database ?? '',
      ssl: parsed.ssl,
      ...(parsed.connectionParameters.options ? { options: parsed.connectionParameters.options } : {}),
    };
  } catch {
    throw refusal;
  }
}

function refusalOf(error: unknown, place: string, { user, password }: pg.ClientConfig): StartRefusal {
  const { code, message } = error as { code?: string; message?: string };
  const why = (
    code === '28P01' || code === '28000'
      ? `it did not accept the user ${user} or the password`
      : code === '3D000'
        ? 'it has no such database'
        : isUnavailable(error)
          ? `nothing there answers (${code ?? message})`
          : (message ?? String(error))
  ).replaceAll(typeof password === 'string' && password !== '' ? password : '\0', '[secret]');
  return new StartRefusal(
    `The PostgreSQL at ${place} cannot be used: ${why}. Check DATABASE_URL and the server.`,
    error,
  );
}
