import { sql } from 'kysely';
import { withStoppedDatabase } from './stopped-database.ts';

/** What telemetry takes on disk, with its indexes: bytes by table, all partitions together. The server must be stopped. */
export async function readStoredBytes(dataDirectory: string): Promise<ReadonlyMap<string, number>> {
  return withStoppedDatabase(dataDirectory, async (database) => {
    const { rows } = await sql<{ table: string; bytes: string }>`
      select coalesce(parent.relname, c.relname) as table, sum(pg_total_relation_size(c.oid)) as bytes
      from pg_class c
      left join pg_inherits i on i.inhrelid = c.oid
      left join pg_class parent on parent.oid = i.inhparent
      where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
      group by 1`.execute(database.system);
    return new Map(rows.map(({ table, bytes }) => [table, Number(bytes)]));
  });
}
