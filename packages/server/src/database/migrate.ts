import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Logger } from '@gladhand/base/log.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import pg from 'pg';
import type { Database } from './database.ts';
import { asFault } from './database-fault.ts';
import { clientConfig } from './open-database.ts';

/** The advisory lock that lets one node at a time look at and change the schema ('gladhand' in ASCII, 8 bytes). */
const MIGRATION_LOCK = '7452728932671876708';
/** How long requests may have to wait behind a migration that waits for a lock itself. */
const LOCK_TIMEOUT_MS = 2_000;
/** What has queued up gets through in between. */
const LOCK_RETRY_MS = 1_000;
/** Some three minutes altogether: a dump that takes longer has to be waited for before the upgrade. */
const LOCK_TRIES_MAX = 60;
const LOCK_NOT_AVAILABLE = '55P03';
const FOLDER = new URL('./migrations/', import.meta.url);

/** The bookkeeping beside the product's own tables; `migration` is Kysely's, `migration_digest` ours. */
interface Bookkeeping {
  migration: { name: string; timestamp: string };
  migration_digest: { name: string; sha256: string };
}

/**
 * Brings the schema to what this code expects: every `.sql` file of `folder` that the database has not seen runs once,
 * in file order, each in a transaction of its own, while other nodes wait. A statement that waits for a lock holds up
 * everybody behind it, so it gives up after `LOCK_TIMEOUT_MS` and the migration is tried again. Throws
 * `temporarily-unavailable` when it never gets its locks. Refuses (StartRefusal) a database that is
 * newer than the code, and one whose applied migrations are not the files' bytes.
 */
export async function migrate(database: Database, log: Logger, folder: URL = FOLDER): Promise<void> {
  const files = await readMigrations(folder);
  // One connection for all of it, without the time limits of requests: an index on a large table takes its time.
  const pool = new pg.Pool({ ...clientConfig(database.host, 'gladhand migrate'), max: 1, idleTimeoutMillis: 0 });
  pool.on('error', () => {});
  pool.on('connect', (client) => void client.on('error', () => {}));
  const kysely = new Kysely<Bookkeeping>({ dialect: new PostgresDialect({ pool }) });
  try {
    await sql`select pg_advisory_lock(${MIGRATION_LOCK}::bigint)`.execute(kysely);
    await sql`create table if not exists migration_digest (name text primary key, sha256 text not null)`.execute(
      kysely,
    );
    await refuseMismatch(kysely, files);
    const migrator = new Migrator({
      db: kysely,
      provider: { getMigrations: async () => Object.fromEntries(files.map((file) => [file.name, migrationOf(file)])) },
      migrationTableName: 'migration',
      migrationLockTableName: 'migration_lock',
    });
    for (let tries = 1; ; ) {
      const { error, results } = await migrator.migrateUp();
      if ((error as { code?: string } | undefined)?.code === LOCK_NOT_AVAILABLE && tries < LOCK_TRIES_MAX) {
        log.warn({ err: error, tries }, 'A migration waited too long for a lock and will be tried again');
        await sql`select pg_sleep(${LOCK_RETRY_MS / 1000})`.execute(kysely);
        tries += 1;
        continue;
      }
      if (error !== undefined) throw refuseForeign(error);
      if (results === undefined || results.length === 0) return;
      for (const { migrationName } of results) log.info({ migration: migrationName }, 'Database migrated');
    }
  } catch (error) {
    throw asFault(error);
  } finally {
    await kysely.destroy();
    if (!pool.ending) await pool.end();
  }
}

/** Whether the schema is what this code expects. Throws as `migrate` does when it is another version's. */
export async function isMigrated(database: Database, folder: URL = FOLDER): Promise<boolean> {
  const files = await readMigrations(folder);
  const kysely = database.owner as unknown as Kysely<Bookkeeping>;
  const { rows } = await sql<{ isThere: boolean }>`
    select to_regclass('migration_digest') is not null as "isThere"`.execute(kysely);
  return rows[0]!.isThere && (await refuseMismatch(kysely, files)) === files.length;
}

const DUPLICATE_TABLE = '42P07';

/** Somebody else's tables are in the way: the database was made for something else. */
function refuseForeign(error: unknown): unknown {
  if ((error as { code?: string }).code !== DUPLICATE_TABLE) return error;
  return new StartRefusal(
    `The database holds tables that are not Gladhand's (${(error as Error).message}). Give Gladhand a database of its own.`,
    error,
  );
}

interface MigrationFile {
  readonly name: string;
  readonly text: string;
  readonly sha256: string;
}

async function readMigrations(folder: URL): Promise<MigrationFile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(new URL(name, folder), 'utf8');
      return { name: name.slice(0, -'.sql'.length), text, sha256: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

function migrationOf({ name, text, sha256 }: MigrationFile): Migration {
  return {
    async up(db: Kysely<Bookkeeping>) {
      await sql`set local lock_timeout = ${sql.lit(LOCK_TIMEOUT_MS)}`.execute(db);
      await sql.raw(text).execute(db);
      await db.insertInto('migration_digest').values({ name, sha256 }).execute();
    },
  };
}

/** Returns how many of `files` the database has seen. */
async function refuseMismatch(kysely: Kysely<Bookkeeping>, files: readonly MigrationFile[]): Promise<number> {
  const applied = await kysely.selectFrom('migration_digest').selectAll().orderBy('name').execute();
  for (const { name, sha256 } of applied) {
    const file = files.find((candidate) => candidate.name === name);
    if (file === undefined) {
      throw new StartRefusal(
        `The database was last used by a newer Gladhand: it has the migration ${name}, which this version does not know. Start that newer version, or use another database.`,
      );
    }
    if (file.sha256 !== sha256) {
      throw new StartRefusal(
        `The migration ${name} is not the one this database was built with. Restore the file ${name}.sql as released: an applied migration never changes, a correction is a new file.`,
      );
    }
  }
  return applied.length;
}
