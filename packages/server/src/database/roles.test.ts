import { systemClock } from '@gladhand/base/clock.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import {
  hasInstalledPostgres,
  type InstalledPostgres,
  openInstalledPostgres,
} from '@gladhand/proofs/rig/installed-postgres.ts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';
import { openDatabase } from './open-database.ts';
import { openPostgresServer } from './server.ts';

// Roles belong to a whole server, so these tests need one of their own.
describe.skipIf(!hasInstalledPostgres)('the two roles, on a PostgreSQL of somebody else', () => {
  let server: InstalledPostgres;
  beforeAll(async () => {
    server = await openInstalledPostgres();
  });
  afterAll(() => server?.close());

  async function asSuperuser(...statements: string[]): Promise<void> {
    const client = new pg.Client(server.url);
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  }

  async function open(login: string): Promise<Database> {
    const url = new URL(server.url);
    url.username = login;
    url.pathname = `/${login}`;
    const host = await openPostgresServer({ url: url.href, log: silentLogger, clock: systemClock });
    onTestFinished(() => host.close());
    const database = await openDatabase(host, { poolSizeMax: 3, log: silentLogger, applicationName: 'test' });
    onTestFinished(() => database.close());
    return database;
  }

  test('a login that may not make them is told the statements that are missing, and they are enough', async () => {
    await asSuperuser('create role plain login', 'create database plain owner plain');
    const refusal: Error = await open('plain').then(
      () => expect.unreachable(),
      (error: unknown) => error as Error,
    );
    expect(refusal.name).toBe('StartRefusal');
    const statements = refusal.message.slice(refusal.message.indexOf('create role'));
    expect(statements).toBe(
      'create role gladhand_app nologin; create role gladhand_system nologin; grant gladhand_app to "plain"; grant gladhand_system to "plain";',
    );
    await asSuperuser(statements);
    const database = await open('plain');
    await migrate(database, silentLogger);
    expect(await database.system.selectFrom('organization').selectAll().execute()).toEqual([]);
  });

  test('a login of another database gets along with roles that are there already', async () => {
    await asSuperuser('create role maker login createrole', 'create database maker owner maker');
    const database = await open('maker');
    await migrate(database, silentLogger);
    expect(await database.system.selectFrom('organization').selectAll().execute()).toEqual([]);
  });

  test('a role that could bypass row-level security is refused by name, and one that inherits it too', async () => {
    const endings: [string, string][] = [
      ['alter role gladhand_app bypassrls', 'alter role gladhand_app nobypassrls'],
      ['grant pg_read_all_data to gladhand_app', 'revoke pg_read_all_data from gladhand_app'],
    ];
    for (const [spoil, mend] of endings) {
      await asSuperuser(spoil);
      await expect(open('plain')).rejects.toThrow('gladhand_app may do more than Gladhand allows its own work');
      await asSuperuser(mend);
    }
    await open('plain');
  });
});
