import { sql } from 'kysely';
import type { Database } from './database.ts';

/** The database's clock, in milliseconds since the epoch: one for all nodes. */
export async function readDatabaseMs(database: Pick<Database, 'system'>): Promise<number> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp()::timestamptz(3) as now`.execute(database.system);
  return rows[0]!.now.getTime();
}
