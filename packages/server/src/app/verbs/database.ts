import { holdProcess, sleep, systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Config } from '../../config.ts';
import type { Database, PostgresHost } from '../../database/database.ts';
import { isAway } from '../../database/database-fault.ts';
import { isMigrated, migrate } from '../../database/migrate.ts';
import { openDatabase } from '../../database/open-database.ts';
import { FolderInUse } from '../../embedded-postgres/folder-lock.ts';
import { joinRunningPostgres, waitForGuests } from '../../embedded-postgres/running-embedded.ts';
import { openHost } from '../backends.ts';

/** Maximum wait for the database of a running server. Creating it or recovering it takes about 5 s. */
const WAIT_MS_MAX = 30_000;
const POLL_MS = 100;
const AROUND = {
  clock: systemClock,
  ids: systemIds,
  log: silentLogger,
  onProgress: (step: string) => void process.stderr.write(`${step}\n`),
};

/**
 * Runs `work` on the configured database and closes the database. If a server runs on the data folder, its PostgreSQL is
 * used. Otherwise the embedded PostgreSQL runs only during `work`. Throws a StartRefusal if a server has the data folder and
 * its database cannot be used, or if the server stops during `work`.
 */
export async function withDatabase<Result>(
  config: Config,
  work: (database: Database) => Promise<Result>,
  waitMsMax = WAIT_MS_MAX,
): Promise<Result> {
  const release = holdProcess();
  try {
    const { database, close } = await openWhenReady(config, waitMsMax);
    try {
      return await work(database);
    } catch (error) {
      if (!isAway(error)) throw error;
      throw new StartRefusal(
        'The database was stopped while this command ran, so its outcome is unknown. Run it again.',
        error,
      );
    } finally {
      await close();
    }
  } finally {
    release();
  }
}

interface Opened {
  readonly database: Database;
  close(): Promise<void>;
}

async function openWhenReady(config: Config, waitMsMax: number): Promise<Opened> {
  const endMs = systemClock.monotonicMs() + waitMsMax;
  for (let isTold = false; ; isTold = true) {
    const opened = await openNow(config);
    if (opened !== undefined) return opened;
    if (systemClock.monotonicMs() > endMs)
      throw new StartRefusal(
        `Another Gladhand has the data folder ${config.data.directory}, and its database is not ready after ${waitMsMax / 1000} s. If that server is of an older version, restart it with this one; then run this again.`,
      );
    if (!isTold) AROUND.onProgress('Waiting for the database of the server that has this data folder');
    await sleep(systemClock, POLL_MS);
  }
}

/** Undefined while another process has the data folder and its database is not ready or has just stopped. */
async function openNow(config: Config): Promise<Opened | undefined> {
  const own = await openHost(config, AROUND, 'command').catch((error: unknown) => {
    if (error instanceof FolderInUse) return undefined;
    throw error;
  });
  const host = own ?? (await joinRunningPostgres(config.data.directory));
  if (host === undefined) return undefined;
  try {
    const database = await openReady(host, own !== undefined);
    if (database === undefined) {
      await host.close();
      return undefined;
    }
    return {
      database,
      async close() {
        await database.close();
        try {
          if (own !== undefined) await waitForGuests(own, systemClock, AROUND.onProgress);
        } finally {
          await host.close();
        }
      },
    };
  } catch (error) {
    await host.close();
    if (own === undefined && isAway(error)) return undefined;
    throw error;
  }
}

/** Migrates the database only if it is our own. A running server expects the schema that it has created itself. */
async function openReady(host: PostgresHost, isOwn: boolean): Promise<Database | undefined> {
  const database = await openDatabase(host, { poolSizeMax: 3, log: silentLogger, applicationName: 'gladhand verb' });
  try {
    if (isOwn) await migrate(database, silentLogger);
    else if (!(await isMigrated(database))) {
      await database.close();
      return undefined;
    }
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}
