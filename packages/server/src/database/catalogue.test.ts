import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from './database.ts';
import { createPartitions } from './partitions.ts';
import { APP_ROLE, SYSTEM_ROLE } from './roles.ts';

/** Tables without organization_id, and why each may be. Whatever else is there has to be bound to an organization. */
const WITHOUT_ORGANIZATION: Readonly<Record<string, string>> = {
  organization: 'is the organization; has a policy of its own',
  api_key_secret: 'belongs to one through its key; has a policy of its own',
  token_signing_key: 'of the installation; system only',
  access_epoch: 'one number; system only',
  telemetry_position: 'one number, as the position of any record is; read by every request',
  intake_log: 'points to envelopes; system only',
  intake_deferred: 'points to envelopes; system only',
  lease: 'of the nodes; system only',
  idempotency: 'belongs to a key and has no words of its own; system only',
  arrival: 'belongs to a key and has no words of its own; system only',
  signature_nonce: 'belongs to a key and has no words of its own; system only',
  plan: 'of the installation; system only',
  product_limit: 'of the installation; system only',
  product_version: 'of the installation; system only',
  retired_partition: 'bookkeeping of the owner',
  migration: 'bookkeeping of the owner',
  migration_lock: 'bookkeeping of the owner',
  migration_digest: 'bookkeeping of the owner',
};
/** Of those, the ones that requests reach all the same, each behind a policy of its own. */
const OWN_POLICY = ['organization', 'api_key_secret'];
/** Read by requests without a policy, and written by the system alone. */
const READ_BY_ALL = ['telemetry_position'];
const SYSTEM_ONLY = Object.keys(WITHOUT_ORGANIZATION).filter(
  (table) => !OWN_POLICY.includes(table) && !READ_BY_ALL.includes(table),
);

const OF_ORGANIZATION =
  "(organization_id = ( SELECT (current_setting('gladhand.organization_id'::text))::uuid AS current_setting))";

interface TableRow {
  name: string;
  hasOrganization: boolean;
  isPartition: boolean;
  isBound: boolean;
  policies: { name: string; roles: string[]; command: string; using: string; check: string | null }[];
  /** `role privilege`, and `role privilege column` where it is granted by column. */
  grants: string[];
}

async function readTables(database: Database): Promise<TableRow[]> {
  const { rows } = await sql<TableRow>`
    select c.relname as name, c.relispartition as "isPartition",
      exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id') as "hasOrganization",
      c.relrowsecurity and c.relforcerowsecurity as "isBound",
      (select coalesce(json_agg(json_build_object('name', p.polname, 'command', p.polcmd,
          'roles', (select json_agg(r.rolname) from pg_roles r where r.oid = any(p.polroles)),
          'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)) order by p.polname), '[]')
        from pg_policy p where p.polrelid = c.oid) as policies,
      (select coalesce(array_agg(coalesce(r.rolname, 'public') || ' ' || g.privilege_type || coalesce(' ' || g.column, '') order by 1), '{}')
        from (select (aclexplode(c.relacl)).*, null as column
              union all select (aclexplode(a.attacl)).*, a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) g
        left join pg_roles r on r.oid = g.grantee where g.grantee <> c.relowner) as grants
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'f', 'm')
    order by c.relname`.execute(database.owner);
  return rows;
}

/** Every way in which a table does not hold organizations apart, as a sentence. */
function faultsOf(table: TableRow): string[] {
  const faults: string[] = [];
  const say = (what: string) => faults.push(`${table.name} ${what}`);
  const policy = (name: string) => table.policies.find((one) => one.name === name);
  const isKnown = table.name in WITHOUT_ORGANIZATION;
  if (!table.hasOrganization && !isKnown) {
    say('has no organization_id: give it one and call bind_to_organization(), or say in this test why it has none');
  }
  if (table.hasOrganization || OWN_POLICY.includes(table.name)) {
    if (!table.isBound) say('has no row-level security, enabled and forced: call bind_to_organization()');
    const own = policy('own_organization');
    if (own === undefined) say(`has no policy for ${APP_ROLE}`);
    else if (table.hasOrganization && own.using !== OF_ORGANIZATION) say(`has another policy: ${own.using}`);
    if (table.policies.length !== 2) say('has other policies than the two: they would be added up');
    for (const [name, role] of [
      ['own_organization', APP_ROLE],
      ['every_organization', SYSTEM_ROLE],
    ] as const) {
      const one = policy(name);
      if (one && (one.roles.join() !== role || one.command !== '*' || one.check !== null)) say(`has a changed ${name}`);
    }
  }
  const app = table.grants.filter((grant) => !grant.startsWith(`${SYSTEM_ROLE} `));
  if (SYSTEM_ONLY.includes(table.name) && app.length > 0) say(`is for the system only, and has ${app.join(', ')}`);
  if (READ_BY_ALL.includes(table.name) && app.join() !== `${APP_ROLE} SELECT`)
    say(`is to be read only, and has ${app.join(', ')}`);
  if (table.isPartition && table.grants.length > 0) say(`is reached past its table: ${table.grants.join(', ')}`);
  for (const grant of table.grants) {
    if (/^public /.test(grant)) say(`is open to everybody: ${grant}`);
    // TRUNCATE asks no policy; REFERENCES tells of keys; TRIGGER runs code as whoever writes.
    if (!/ (SELECT|INSERT|UPDATE|DELETE)( |$)/.test(grant)) say(`is granted for more than rows: ${grant}`);
  }
  return faults;
}

async function findFaults(database: Database): Promise<string[]> {
  return (await readTables(database)).flatMap(faultsOf);
}

test('every table that belongs to an organization is bound to it, new partitions too', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  for (const table of ['envelope', 'receipt', 'record'] as const) {
    await partitions.ensure(table, [Date.UTC(2026, 10, 23), Date.UTC(2026, 11, 23)]);
  }
  const tables = await readTables(database);
  expect(tables.filter((table) => table.isPartition)).toHaveLength(6);
  expect(tables.filter((table) => table.hasOrganization && !table.isPartition).map(({ name }) => name)).toEqual([
    'api_key',
    'asset',
    'audit_event',
    'audit_head',
    'device',
    'envelope',
    'fleet',
    'latest',
    'leaf_paths',
    'new_claim',
    'person',
    'receipt',
    'record',
    'session',
    'unclaimed',
    'usage_day',
  ]);
  expect(await findFaults(database)).toEqual([]);
  expect(Object.keys(WITHOUT_ORGANIZATION).filter((name) => !tables.some((table) => table.name === name))).toEqual([]);
});

test('the catalogue check tells of a table, a partition, a policy and a grant that would let organizations mix', async () => {
  const database = await openTestDatabase();
  await sql
    .raw(
      `create table trip (id uuid, organization_id uuid);
       create table note (id uuid);
       create table record_loose partition of record for values from ('2020-01-06') to ('2020-01-13');
       grant select on record_loose to ${APP_ROLE};
       create policy extra on fleet using (true);
       grant truncate on asset to ${APP_ROLE};
       grant select on intake_log to ${APP_ROLE};
       grant select on unclaimed to public;
       alter table person no force row level security`,
    )
    .execute(database.owner);
  const faults = (await findFaults(database)).map((fault) => fault.split(':')[0]);
  expect(faults).toEqual([
    'asset is granted for more than rows',
    'fleet has other policies than the two',
    'intake_log is for the system only, and has gladhand_app SELECT',
    'note has no organization_id',
    'person has no row-level security, enabled and forced',
    'record_loose has no row-level security, enabled and forced',
    'record_loose has no policy for gladhand_app',
    'record_loose has other policies than the two',
    'record_loose is reached past its table',
    'trip has no row-level security, enabled and forced',
    'trip has no policy for gladhand_app',
    'trip has other policies than the two',
    'unclaimed is open to everybody',
  ]);
});

test('no organization can write what partners sent, what became of it, or its own past', async () => {
  const database = await openTestDatabase();
  const tables = await readTables(database);
  const mayWrite = tables
    .filter((table) => table.grants.some((grant) => /^gladhand_app (INSERT|UPDATE|DELETE)/.test(grant)))
    .map(({ name }) => name);
  expect(mayWrite).toEqual([
    'api_key',
    'api_key_secret',
    'asset',
    'audit_event',
    'audit_head',
    'device',
    'fleet',
    'new_claim',
    'organization',
    'person',
    'session',
  ]);
  const audit = tables.find(({ name }) => name === 'audit_event')!.grants;
  expect(audit.filter((grant) => / (UPDATE|DELETE)/.test(grant))).toEqual([]);
  const secret = tables.find(({ name }) => name === 'api_key_secret')!.grants;
  expect(secret).not.toContain('gladhand_app SELECT');
  expect(secret).not.toContain('gladhand_app SELECT digest');
});

test('the roles cannot bypass row-level security, own nothing, make nothing and become nobody', async () => {
  const database = await openTestDatabase();
  const { rows } = await sql<Record<string, unknown>>`
    select r.rolname as name, r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolcanlogin as mighty,
      (select count(*)::int from pg_auth_members m where m.member = r.oid) as memberships,
      (select count(*)::int from pg_class c where c.relowner = r.oid) + (select count(*)::int from pg_proc p where p.proowner = r.oid)
        + (select count(*)::int from pg_namespace n where n.nspowner = r.oid) as owned,
      has_schema_privilege(r.oid, current_schema(), 'create') or has_database_privilege(r.oid, current_database(), 'create')
        or has_database_privilege(r.oid, current_database(), 'temp') as creates,
      has_function_privilege(r.oid, 'bind_to_organization(regclass)', 'execute') as binds
    from pg_roles r where r.rolname = any(${[APP_ROLE, SYSTEM_ROLE]}) order by 1`.execute(database.owner);
  const harmless = { mighty: false, memberships: 0, owned: 0, creates: false, binds: false };
  expect(rows).toEqual([
    { name: APP_ROLE, ...harmless },
    { name: SYSTEM_ROLE, ...harmless },
  ]);
});

test('no view and no function runs with the rights of its owner, but the one that raises the epoch', async () => {
  const database = await openTestDatabase();
  const { rows } = await sql<{ name: string }>`
    select proname as name from pg_proc where pronamespace = current_schema()::regnamespace and prosecdef
    union all
    select relname from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'v'
      and not coalesce(reloptions, '{}') @> '{security_invoker=true}'`.execute(database.owner);
  expect(rows).toEqual([{ name: 'raise_access_epoch' }]);
});
