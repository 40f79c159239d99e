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

/** A first start makes its database in seconds; a recovery takes five. */
const WAIT_MS_MAX = 30_000;
const POLL_MS = 100;
const AROUND = {
  clock: systemClock,
  ids: systemIds,
  log: silentLogger,
  onProgress: (step: string) => void process.stderr.write(`${step}\n`),
};

/**
 * Runs `work` on the configured database and closes it. While a server runs on the data folder its PostgreSQL is used;
 * otherwise the embedded one is started for as long as this takes. Throws a StartRefusal when a server has the data
 * folder and its database cannot be used, or when it stops while `work` runs.
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
        'The database was stopped while this ran, so it is not known whether it was done. Run it again.',
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

/** Undefined while another process has the data folder and its database is not ready, or has just been stopped. */
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

/** A schema is changed by its owner only: a server that runs expects the one it has made. */
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
