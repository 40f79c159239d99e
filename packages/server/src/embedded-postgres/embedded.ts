import { resolve } from 'node:path';
import { type Clock, holdProcess, sleep } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import pg from 'pg';
import type { PostgresHost } from '../database/database.ts';
import { getNativeDirectory, openBinaries } from './binaries.ts';
import { ensureCluster } from './cluster.ts';
import { ensureSocketFolder, openClusterHome, openSocketFolder, removeSocketFolder } from './cluster-home.ts';
import { DATABASE, embeddedConnection } from './connection.ts';
import { type HeldFor, openFolderLock } from './folder-lock.ts';
import { type Postmaster, startPostmaster, stopLeftovers } from './postmaster.ts';

/** Waits before the tries to bring PostgreSQL back; the last one repeats. Five seconds are the promise, so no waste. */
const RESTART_DELAYS_MS = [0, 100, 250, 500, 1_000, 2_000];

export interface EmbeddedOptions {
  /** The data folder; PostgreSQL lives in `postgres/` inside. Made when missing. */
  readonly directory: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Told what is going on before each step that may take longer than a second. */
  readonly onProgress?: (step: string) => void;
  /** What the folder is taken for; default: a server. */
  readonly heldFor?: HeldFor;
  /** Where the programs are, if not where npm puts them. */
  readonly nativeDirectory?: string;
}

/**
 * Runs a PostgreSQL of our own in the data folder, until `close`. First start creates it. Should it die it is started
 * again, and `state` says `recovering` meanwhile. Throws a StartRefusal when somebody has to act: folder in use, no
 * binaries for this platform, files of another version or another user.
 */
export async function openEmbeddedPostgres(options: EmbeddedOptions): Promise<PostgresHost> {
  const { log, clock, ids, onProgress = () => {} } = options;
  const directory = resolve(options.directory);
  const release = holdProcess();
  const undo: (() => unknown)[] = [];
  try {
    const home = await openClusterHome(directory);
    undo.push(() => home.close());
    const lock = openFolderLock(home, directory, options.heldFor);
    undo.push(() => lock.release());
    const binaries = await openBinaries({
      nativeDirectory: options.nativeDirectory ?? getNativeDirectory(),
      home: home.path,
      account: home.account,
      onProgress,
    });
    const password = await ensureCluster(home, binaries, ids, onProgress);
    await stopLeftovers(home, log, clock);
    const socketFolder = await openSocketFolder(home);
    undo.push(() => removeSocketFolder(home));
    const connection = embeddedConnection(socketFolder, password);
    onProgress('Starting the database');
    const supervisor = await openSupervisor({
      log,
      clock,
      start: (signal) => startPostmaster({ home, binaries, socketFolder, log, clock, signal }),
      async prepareRestart() {
        await stopLeftovers(home, log, clock);
        await ensureSocketFolder(home, socketFolder);
      },
    });
    undo.push(() => supervisor.close());
    await ensureDatabase(connection);
    let closed: Promise<void> | undefined;
    return {
      connection,
      get state() {
        return supervisor.state;
      },
      place: directory,
      close: () => (closed ??= undoAll(undo)),
    };
  } catch (error) {
    await undoAll(undo);
    throw error;
  } finally {
    release();
  }
}

/** Runs the undo steps last to first, each even if one before failed, and each once. */
async function undoAll(undo: (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'The embedded PostgreSQL did not close cleanly');
}

interface Supervisor {
  readonly state: PostgresHost['state'];
  close(): Promise<void>;
}

/** Starts a postmaster and, whenever it ends without being asked to, another, until closed. */
async function openSupervisor(options: {
  log: Logger;
  clock: Clock;
  start: (signal: AbortSignal) => Promise<Postmaster>;
  prepareRestart: () => Promise<void>;
}): Promise<Supervisor> {
  const { log, clock } = options;
  const closing = new AbortController();
  let current: Postmaster | undefined;
  let recovery = Promise.resolve();

  function watch(postmaster: Postmaster): void {
    current = postmaster;
    void postmaster.exited.then((how) => {
      current = undefined;
      if (closing.signal.aborted) return;
      log.error({ pid: postmaster.pid, how }, 'PostgreSQL has ended; starting it again');
      recovery = recover();
    });
  }

  async function recover(): Promise<void> {
    const release = holdProcess();
    const beganMs = clock.monotonicMs();
    try {
      for (let attempt = 0; !closing.signal.aborted; attempt += 1) {
        await sleep(clock, RESTART_DELAYS_MS[Math.min(attempt, RESTART_DELAYS_MS.length - 1)]!, closing.signal);
        try {
          await options.prepareRestart();
          watch(await options.start(closing.signal));
          log.info({ tookMs: Math.round(clock.monotonicMs() - beganMs) }, 'PostgreSQL is back');
          return;
        } catch (error) {
          if (!closing.signal.aborted) log.error({ err: error, attempt }, 'PostgreSQL did not start');
        }
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error;
    } finally {
      release();
    }
  }

  watch(await options.start(closing.signal));
  return {
    get state() {
      return current === undefined ? 'recovering' : 'ready';
    },
    async close() {
      closing.abort();
      await recovery;
      await current?.stop();
    },
  };
}

async function ensureDatabase(connection: pg.ClientConfig): Promise<void> {
  const client = new pg.Client({ ...connection, database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end().catch(() => {});
  }
}
