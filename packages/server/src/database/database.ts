import type { Kysely } from 'kysely';
import type pg from 'pg';
import type { Schema } from './schema.ts';

/**
 * The database port: one SQL, two ways to a PostgreSQL. `embedded.ts` runs a server of its own inside the data
 * folder, `server.ts` uses the one a URL names; both give a `PostgresHost`, and everything above speaks to the
 * `Database` opened on it. Promise: a committed write is on disk in the durability class the host reports. Assumes
 * PostgreSQL 15 or newer. Fails with `temporarily-unavailable` while the host is recovering.
 */
export interface PostgresHost {
  /** How to reach it; a new client made from this connects to the same database. */
  readonly connection: Readonly<pg.ClientConfig>;
  /** `recovering` from the moment the server is known to be down until it answers again. */
  readonly state: 'ready' | 'recovering';
  /** Where the data is, for messages: a folder, or host and database name without credentials. */
  readonly place: string;
  close(): Promise<void>;
}

/**
 * What an acknowledged write survives: `power-loss` (fsync and full_page_writes on, synchronous_commit at least
 * local), `process-crash` (anything weaker, where the operating system's crash may lose the last writes).
 */
export type DurabilityClass = 'power-loss' | 'process-crash';

/**
 * What a transaction may do. `walk`: read, and take rows in the order of an index, for statements that want the first few
 * rows of an order that may be millions long. Where statistics are missing or older than the data, the planner believes
 * that few rows are left, and would read and sort all of them.
 */
export type Access = 'read' | 'write' | 'walk';

export interface Database {
  /**
   * Runs `work` in one transaction that sees and changes what belongs to this organization and nothing else, whatever
   * its statements say: row-level security holds it (decision 0007). Commits when `work` resolves, rolls back when it
   * throws. `work` must use the connection it is given and not begin transactions of its own.
   */
  within<Result>(
    organizationId: string,
    work: (connection: Kysely<Schema>) => Promise<Result>,
    access?: Access,
  ): Promise<Result>;
  /** For what serves every organization: intake, mapper, look-ups of keys. Sees all rows; cannot change the schema. */
  readonly system: Kysely<Schema>;
  /**
   * As `system`, on one connection of its own: for reading what has just become visible. It waits neither behind intake,
   * which writes through `system`, nor behind requests, and keeps neither of them waiting.
   */
  readonly newest: Kysely<Schema>;
  /** Owns the schema: for migrations and partitions only. */
  readonly owner: Kysely<Schema>;
  readonly host: PostgresHost;
  readonly durability: DurabilityClass;
  /** A client of its own outside the pools, with the rights of `system`, for LISTEN or a session lock. The caller ends it. */
  connectClient(): Promise<pg.Client>;
  close(): Promise<void>;
}
