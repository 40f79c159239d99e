import { type Kysely, sql } from 'kysely';
import type { Database } from '../src/database/database.ts';
import type { Schema } from '../src/database/schema.ts';

/**
 * The database, and how many rows each transaction within an organization has read, as PostgreSQL counts them: entries
 * given by any index and rows of tables that were read without one, whether they passed a condition or not.
 */
export function countRowsRead(database: Database): { readonly database: Database; readonly rowsRead: number[] } {
  const rowsRead: number[] = [];
  const within: Database['within'] = (organizationId, work, access) =>
    database.within(
      organizationId,
      async (own) => {
        // What the connection read before and has not reported yet is in the count as well, hence the difference.
        const before = await countSoFar(own);
        const result = await work(own);
        rowsRead.push((await countSoFar(own)) - before);
        return result;
      },
      access,
    );
  return { database: { ...database, within }, rowsRead };
}

/** The same of one piece of work in a transaction of the caller's own. */
export async function countRowsReadIn(trx: Kysely<Schema>, work: () => Promise<void>): Promise<number> {
  const before = await countSoFar(trx);
  await work();
  return (await countSoFar(trx)) - before;
}

/** Rows read in the transaction so far. */
export async function countSoFar(own: Kysely<Schema>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select coalesce(sum(pg_stat_get_xact_tuples_returned(oid)), 0)::int as count from pg_class
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'i')`.execute(own);
  return rows[0]!.count;
}
