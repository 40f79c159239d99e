import { openHost } from '@gladhand/server/app/backends.ts';
import type { Database } from '@gladhand/server/database/database.ts';
import { openDatabase } from '@gladhand/server/database/open-database.ts';
import { AROUND, configOf } from './seed.ts';

/** Works on the database of a data folder whose server is stopped, and stops its PostgreSQL again. */
export async function withStoppedDatabase<Result>(
  dataDirectory: string,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const host = await openHost(configOf(dataDirectory), AROUND, 'command');
  const database = await openDatabase(host, { poolSizeMax: 2, log: AROUND.log, applicationName: 'gladhand-proofs' });
  try {
    return await work(database);
  } finally {
    await database.close();
    await host.close();
  }
}
