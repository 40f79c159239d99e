import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import type { PostgresHost } from '../src/database/database.ts';
import { migrate } from '../src/database/migrate.ts';
import { openDatabase } from '../src/database/open-database.ts';
import { openPostgresServer } from '../src/database/server.ts';
import { openEmbeddedPostgres } from '../src/embedded-postgres/embedded.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The PostgreSQL of this test run and its migrated template database; see `database.ts` beside this file. */
    postgres: { connection: PlainConnection; template: string; place: string };
  }
}

/** What of a connection's settings crosses to the test workers: plain values. */
export interface PlainConnection {
  host: string;
  port: number;
  user: string;
  password: string;
}

/**
 * One PostgreSQL for the whole run: a real embedded one in a temporary folder, or the server that
 * GLADHAND_TEST_DATABASE_URL names. It gets one migrated template, of which every test copies its own database; all
 * of them carry the run's prefix and are dropped at the end.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { host, remove } = await openHost();
  const prefix = `gladhand_test_${systemIds.randomBytes(6).toString('hex')}`;
  const template = `${prefix}_template`;
  await administer(host, (client) => client.query(`create database ${template}`));
  const templateHost = { ...host, connection: { ...host.connection, database: template } } as PostgresHost;
  const database = await openDatabase(templateHost, {
    poolSizeMax: 2,
    log: silentLogger,
    applicationName: 'test setup',
  });
  await migrate(database, silentLogger);
  await database.close();
  const { host: address, port, user, password } = host.connection;
  project.provide('postgres', {
    connection: { host: address!, port: port!, user: user!, password: password as string },
    template,
    place: host.place,
  });
  return async () => {
    if (process.env['GLADHAND_TEST_DATABASE_URL'] !== undefined)
      await administer(host, (client) => dropAll(client, prefix));
    await host.close();
    await remove();
  };
}

async function openHost(): Promise<{ host: PostgresHost; remove: () => Promise<void> }> {
  const url = process.env['GLADHAND_TEST_DATABASE_URL'];
  if (url !== undefined) {
    const host = await openPostgresServer({ url, log: silentLogger, clock: systemClock });
    return { host, remove: async () => {} };
  }
  const directory = await mkdtemp(join(tmpdir(), 'gladhand-test-'));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    const host = await openEmbeddedPostgres({ directory, log: silentLogger, clock: systemClock, ids: systemIds });
    return { host, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function administer(host: PostgresHost, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ ...host.connection, database: 'postgres' });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

async function dropAll(client: pg.Client, prefix: string): Promise<void> {
  const { rows } = await client.query<{ datname: string }>(
    'select datname from pg_database where starts_with(datname, $1)',
    [prefix],
  );
  for (const { datname } of rows) await client.query(`drop database ${datname} with (force)`);
}
