import { systemClock } from '../../base/clock.ts';
import { systemIds } from '../../base/ids.ts';
import { silentLogger } from '../../base/log.ts';
import type { Config } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import { migrate } from '../../database/migrate.ts';
import { openDatabase } from '../../database/open-database.ts';
import { openHost } from '../backends.ts';

/** Runs `work` on the configured database and closes it: for verbs that need no server. */
export async function withDatabase<Result>(
  config: Config,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const around = {
    clock: systemClock,
    ids: systemIds,
    log: silentLogger,
    onProgress: (step: string) => process.stderr.write(`${step}\n`),
  };
  const host = await openHost(config, around);
  try {
    const database = await openDatabase(host, { poolSizeMax: 3, log: silentLogger, applicationName: 'gladhand verb' });
    try {
      await migrate(database, silentLogger);
      return await work(database);
    } finally {
      await database.close();
    }
  } finally {
    await host.close();
  }
}
