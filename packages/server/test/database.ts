import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import pg from 'pg';
import { inject } from 'vitest';
import type { Database, PostgresHost } from '../src/database/database.ts';
import { openDatabase } from '../src/database/open-database.ts';
import { whenDone } from './when-done.ts';

/**
 * A database of the caller's own, migrated and empty, on the run's PostgreSQL. Dropped with its connections when the
 * test that asked for it ends; asked for outside a test (at the top of a file or in a hook), at the end of the file.
 */
export async function openTestDatabase(options: { poolSizeMax?: number } = {}): Promise<Database> {
  const { connection, template, place } = inject('postgres');
  const name = `${template.slice(0, -'template'.length)}${systemIds.randomBytes(6).toString('hex')}`;
  const server = { ...connection, database: 'postgres' };
  await run(server, `create database ${name} template ${template}`);
  const host: PostgresHost = {
    connection: { ...connection, database: name },
    state: 'ready',
    place: `${place}, database ${name}`,
    close: async () => {},
  };
  const database = await openDatabase(host, {
    poolSizeMax: options.poolSizeMax ?? 10,
    log: silentLogger,
    applicationName: 'test',
    // Tests arrange and look as the owner, whom no row-level security holds.
    ownerConnectionsMax: 8,
  });
  let closed: Promise<void> | undefined;
  const close = () =>
    (closed ??= (async () => {
      await database.close();
      await run(server, `drop database ${name} with (force)`);
    })());
  whenDone(close);
  return { ...database, close };
}

async function run(connection: pg.ClientConfig, statement: string): Promise<void> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
