import { systemIds } from '@gladhand/base/ids.ts';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from './database.ts';
import { createPartitions } from './partitions.ts';
import { narrow } from './within.ts';

const START_MS = Date.UTC(2026, 10, 23);

/** Organizations that have one row of everything each. */
async function openFilled(count: number, options: { poolSizeMax?: number } = {}) {
  const database = await openTestDatabase(options);
  const partitions = createPartitions(database);
  for (const table of ['envelope', 'receipt', 'record'] as const) await partitions.ensure(table, [START_MS]);
  const organizations = Array.from({ length: count }, () => systemIds.uuid());
  const at = sql.lit(new Date(START_MS).toISOString());
  const make = (statement: ReturnType<typeof sql>) => statement.execute(database.owner);
  const each = sql`from unnest(${organizations}::uuid[]) with ordinality as o(id, n)`;
  await make(sql`insert into organization select id, 'o' || n, 'O', 'customer', ${at}, ${at} ${each}`);
  await make(
    sql`insert into person select id, id, n || '@example.com', 'P', 'ADMIN', 'hash', true, ${at}, ${at} ${each}`,
  );
  await make(sql`insert into session select sha256(id::text::bytea), id, id, ${at}, ${at}, ${at} ${each}`);
  await make(sql`insert into api_key (id, organization_id, audience, partner_id, name, scopes, created_at, updated_at)
    select id, id, 'customer', 'p', 'K', '{x}', ${at}, ${at} ${each}`);
  await make(sql`insert into api_key_secret (key_id, generation, public_id, prefix, digest, pepper_version, created_at)
    select id, 1, lpad(n::text, 12, '0'), 'p', sha256(id::text::bytea), 1, ${at} ${each}`);
  await make(sql`insert into fleet select id, id, 'F', true, ${at}, ${at} ${each}`);
  await make(sql`insert into asset (id, organization_id, kind, fleet_id, vin, vin_check, name, created_at, updated_at)
    select id, id, 'trailer', id, '1GHD' || lpad(n::text, 13, '0'), 'pass', 'A', ${at}, ${at} ${each}`);
  await make(
    sql`insert into device select id, id, id, 'traccar', 'd', 'gateway', true, ${at}, ${at}, ${at}, ${at} ${each}`,
  );
  await make(sql`insert into envelope select id, ${at}, id, id, 'p', 'traccar', 'V', null, '{}' ${each}`);
  await make(
    sql`insert into receipt select id, ${at}, id, 'p', 'traccar', 'processed', 1, ${at}, '{}', 0, '[]', '{}' ${each}`,
  );
  await make(sql`insert into unclaimed select 'V', id, ${at}, id ${each}`);
  await make(
    sql`insert into record select id, id, ${at}, id, id, 'trailer', id, null, ${at}, ${at}, 'traccar', 1, id, n, 1, '{"gps":{}}' ${each}`,
  );
  await make(sql`insert into latest select id, 'gps', id, '{}', false ${each}`);
  await make(sql`insert into audit_event (organization_id, sequence, at, actor_kind, action, details, hash)
    select id, 1, ${at}, 'system', 'x', '{}', sha256('') ${each}`);
  await make(sql`insert into audit_head select id, 1, sha256('') ${each}`);
  return { database, organizations };
}

/** What requests may read, and the column that says whose a row is. */
const READABLE = {
  organization: 'id',
  person: 'organization_id',
  session: 'organization_id',
  api_key: 'organization_id',
  api_key_secret: 'key_id',
  fleet: 'organization_id',
  asset: 'organization_id',
  device: 'organization_id',
  envelope: 'organization_id',
  receipt: 'organization_id',
  unclaimed: 'organization_id',
  record: 'organization_id',
  latest: 'organization_id',
  audit_event: 'organization_id',
  audit_head: 'organization_id',
} as const;

const owners = (table: string, column: string) =>
  sql<{ owner: string }>`select ${sql.ref(column)} as owner from ${sql.table(table)}`;
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

const INSUFFICIENT_PRIVILEGE = '42501';

test('a statement without any condition gives an organization its own rows and nobody else’s, of every table', async () => {
  const { database, organizations } = await openFilled(3);
  for (const organization of organizations) {
    for (const [table, column] of Object.entries(READABLE)) {
      const { rows } = await database.within(organization, (own) => owners(table, column).execute(own), 'read');
      expect(rows, table).toEqual([{ owner: organization }]);
    }
  }
  const { rows } = await database.within(systemIds.uuid(), (own) =>
    sql`select (select count(*) from asset) + (select count(*) from record) as count`.execute(own),
  );
  expect(rows).toEqual([{ count: 0 }]);
});

test('without an organization there is an error, never a row, on a fresh connection as on a used one', async () => {
  const { database, organizations } = await openFilled(2, { poolSizeMax: 2 });
  const unnamed = () =>
    database.system.transaction().execute(async (trx) => {
      await sql`set local role gladhand_app`.execute(trx);
      return sql`select * from asset`.execute(trx);
    });
  // 42704: the setting was never made; 22P02: it is empty again after a transaction that made it.
  expect(await codeOf(unnamed())).toBe('42704');
  await database.system.transaction().execute((trx) => narrow(trx, organizations[0]!));
  expect(await codeOf(unnamed())).toBe('22P02');
});

test('partitions cannot be read past their table, and the wall cannot be switched off from inside', async () => {
  const { database, organizations } = await openFilled(2);
  const attempt = (statement: string) =>
    codeOf(database.within(organizations[0]!, (own) => sql.raw(statement).execute(own)));
  for (const statement of [
    'select * from record_2026w48',
    'select * from envelope_20261123',
    'alter table asset disable row level security',
    'drop policy own_organization on asset',
    'create policy mine on asset using (true)',
    'create temporary table asset (id uuid)',
    'create table mine ()',
    'truncate asset',
    'set local row_security = off; select * from asset',
    'select digest from api_key_secret',
    "select bind_to_organization('asset')",
    'update access_epoch set value = 0',
    'delete from audit_event',
    "update record set product = 'x'",
    'set local role gladhand_app; set role gladhand_nobody',
  ]) {
    expect([statement, await attempt(statement)]).not.toEqual([statement, 'no error']);
  }
  expect(await attempt('select * from record_2026w48')).toBe(INSUFFICIENT_PRIVILEGE);
  expect(await attempt('set local row_security = off; select * from asset')).toBe(INSUFFICIENT_PRIVILEGE);
});

test('an organization can neither write for another one, nor change its rows, nor give its own away', async () => {
  const { database, organizations } = await openFilled(2);
  const [mine, theirs] = organizations as [string, string];
  const within = (statement: ReturnType<typeof sql>) => database.within(mine, (own) => statement.execute(own));
  const insert = (organization: string) =>
    within(sql`insert into fleet values (${systemIds.uuid()}, ${organization}, 'F', true, now(), now())`);
  expect(await codeOf(insert(theirs))).toBe(INSUFFICIENT_PRIVILEGE);
  expect(await codeOf(insert(mine))).toBe('no error');
  expect((await within(sql`update asset set name = 'stolen'`)).numAffectedRows).toBe(1n);
  expect((await within(sql`delete from device`)).numAffectedRows).toBe(1n);
  expect(await codeOf(within(sql`update fleet set organization_id = ${theirs}`))).toBe(INSUFFICIENT_PRIVILEGE);
  expect(
    await codeOf(
      within(sql`insert into api_key_secret (key_id, generation, public_id, prefix, digest, pepper_version, created_at)
    values (${theirs}, 2, 'aaaaaaaaaaaa', 'p', sha256(''), 1, now())`),
    ),
  ).toBe(INSUFFICIENT_PRIVILEGE);
  const { rows } = await sql`select name from asset where organization_id = ${theirs}`.execute(database.owner);
  expect(rows).toEqual([{ name: 'A' }]);
});

test('a change of a key raises the epoch, whoever makes it', async () => {
  const { database, organizations } = await openFilled(1);
  const epoch = async () =>
    (await database.system.selectFrom('access_epoch').select('value').executeTakeFirstOrThrow()).value;
  const before = await epoch();
  await database.within(organizations[0]!, (own) =>
    own
      .updateTable('api_key')
      .set({ revoked_at: new Date(START_MS) })
      .execute(),
  );
  expect(await epoch()).toBe(before + 1);
});

test('64 organizations on two connections never see each other, though backends are killed in mid-transaction', async () => {
  const { database, organizations } = await openFilled(64, { poolSizeMax: 4 });
  const seen: string[] = [];
  let killed = 0;
  const work = async (organization: string, round: number) => {
    const table = Object.keys(READABLE)[round % Object.keys(READABLE).length] as keyof typeof READABLE;
    const read = owners(table, READABLE[table]);
    const done = await database
      .within(organization, async (own) => {
        const { rows } = await read.execute(own);
        if (round % 5 === 1) throw new Error('changed its mind');
        if (round % 7 === 2) await sql`select 1 / 0`.execute(own).catch(() => {});
        if (round % 9 === 3) {
          killed += 1;
          const { rows: self } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(own);
          await sql`select pg_terminate_backend(${self[0]!.pid}, 5000)`.execute(database.owner);
        }
        return [...rows, ...(await read.execute(own)).rows];
      })
      .catch(() => []);
    seen.push(...done.map(({ owner }) => (owner === organization ? 'own' : `${organization} saw ${owner}`)));
  };
  await Promise.all(
    organizations.map(async (organization, n) => {
      for (let round = n; round < n + 12; round += 1) await work(organization, round);
    }),
  );
  expect(killed).toBeGreaterThan(32);
  expect(seen.length).toBeGreaterThan(64);
  expect(seen.filter((one) => one !== 'own')).toEqual([]);
  await vi.waitFor(async () => {
    const { rows } =
      await sql`select from pg_stat_activity where datname = current_database() and state like 'idle in%'`.execute(
        database.owner,
      );
    expect(rows).toEqual([]);
  });
}, 120_000);

test('work that throws leaves nothing, and work that goes on after a failed statement is not taken for done', async () => {
  const { database, organizations } = await openFilled(1);
  const organization = organizations[0]!;
  const insert = (own: Database['system']) =>
    sql`insert into fleet values (${systemIds.uuid()}, ${organization}, 'G', true, now(), now())`.execute(own);
  const thrown = database.within(organization, async (own) => {
    await insert(own);
    throw new Error('changed its mind');
  });
  await expect(thrown).rejects.toThrow('changed its mind');
  const ignored = database.within(organization, async (own) => {
    await insert(own);
    await sql`select 1 / 0`.execute(own).catch(() => {});
  });
  await expect(ignored).rejects.toThrow('one of its statements failed');
  expect(await codeOf(database.within(organization, insert, 'read'))).toBe('25006');
  expect((await owners('fleet', 'id').execute(database.owner)).rows).toHaveLength(1);
});

test('what is not an organization’s id never becomes a statement', async () => {
  const { database } = await openFilled(1);
  for (const id of ['', 'x', "'; set role gladhand_system; --", `${systemIds.uuid()}'`]) {
    await expect((async () => database.within(id, () => expect.unreachable()))()).rejects.toThrow(TypeError);
  }
});

test('a transaction of the system can be narrowed to one organization and stays so to its end', async () => {
  const { database, organizations } = await openFilled(2, { poolSizeMax: 2 });
  await database.system.transaction().execute(async (trx) => {
    expect((await owners('asset', 'organization_id').execute(trx)).rows).toHaveLength(2);
    await narrow(trx, organizations[1]!);
    expect((await owners('asset', 'organization_id').execute(trx)).rows).toEqual([{ owner: organizations[1] }]);
  });
  expect((await owners('asset', 'organization_id').execute(database.system)).rows).toHaveLength(2);
});

test('the system sees every organization, owns nothing and cannot write into a registry', async () => {
  const { database } = await openFilled(3);
  expect((await owners('record', 'organization_id').execute(database.system)).rows).toHaveLength(3);
  for (const statement of [
    'drop table asset',
    'create table mine ()',
    'delete from asset',
    'delete from record',
    'truncate record',
  ]) {
    expect([statement, await codeOf(sql.raw(statement).execute(database.system))]).toEqual([
      statement,
      INSUFFICIENT_PRIVILEGE,
    ]);
  }
});
