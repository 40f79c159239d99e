import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';

const OURS = new URL('./migrations/', import.meta.url);

/** A folder of migrations: the real ones, and those given by name, which come after or instead. */
async function makeFolder(files: Record<string, string>): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), 'gladhand-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp(OURS, folder, { recursive: true });
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
  return pathToFileURL(`${folder}/`);
}

async function exists(database: Database, table: string): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`select to_regclass(${table}) is not null as there`.execute(
    database.owner,
  );
  return rows[0]!.there;
}

test('new migrations run once, in file order', async () => {
  const database = await openTestDatabase();
  const folder = await makeFolder({
    '9002-more.sql': 'insert into step values (3);',
    '9001-step.sql': 'create table step (value int); insert into step values (2);',
  });
  await migrate(database, silentLogger, folder);
  await migrate(database, silentLogger, folder);
  const { rows } = await sql`select value from step`.execute(database.owner);
  expect(rows).toEqual([{ value: 2 }, { value: 3 }]);
});

test('a migration that fails leaves nothing of itself, and those before it stay', async () => {
  const database = await openTestDatabase();
  const folder = await makeFolder({
    '9001-good.sql': 'create table good ();',
    '9002-bad.sql': 'create table bad (); select 1 / 0;',
  });
  await expect(migrate(database, silentLogger, folder)).rejects.toThrow('division by zero');
  expect(await exists(database, 'good')).toBe(true);
  expect(await exists(database, 'bad')).toBe(false);
  await writeFile(new URL('9002-bad.sql', folder), 'create table bad ();');
  await migrate(database, silentLogger, folder);
  expect(await exists(database, 'bad')).toBe(true);
});

test('a migration that was changed after it ran is refused by name', async () => {
  const database = await openTestDatabase();
  const folder = await makeFolder({
    '0001-foundation.sql': `${await readFile(new URL('0001-foundation.sql', OURS), 'utf8')}\n-- a change`,
  });
  await expect(migrate(database, silentLogger, folder)).rejects.toThrow(
    'The migration 0001-foundation is not the one this database was built with',
  );
});

test('a database of a newer version is refused with what to do', async () => {
  const database = await openTestDatabase();
  await migrate(database, silentLogger, await makeFolder({ '9001-newer.sql': 'create table newer ();' }));
  await expect(migrate(database, silentLogger)).rejects.toThrow(
    'The database was last used by a newer Gladhand: it has the migration 9001-newer',
  );
});

test('a migration that cannot have its lock lets others through, and is tried again', async () => {
  const database = await openTestDatabase();
  const folder = await makeFolder({ '9001-wide.sql': 'alter table fleet add column width int;' });
  let onWaited = () => {};
  const waited = new Promise<void>((resolve) => {
    onWaited = resolve;
  });
  const log = { ...silentLogger, info: () => {}, warn: onWaited } as unknown as typeof silentLogger;
  let migrated: Promise<void> | undefined;
  await database.owner.transaction().execute(async (reader) => {
    await reader.selectFrom('fleet').selectAll().execute();
    migrated = migrate(database, log, folder);
    await waited;
    // Nobody stands in the way between two tries.
    await database.owner.selectFrom('fleet').selectAll().execute();
  });
  await migrated;
  const { rows } = await sql`select width from fleet`.execute(database.owner);
  expect(rows).toEqual([]);
});
