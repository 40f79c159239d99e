import type { Schema } from '@gladhand/server/database/schema.ts';
import { type Kysely, sql } from 'kysely';

/**
 * Reads the rows of an organization as the database owner. The tables come from the PostgreSQL catalogue, so that a table
 * of a later migration is included automatically.
 */
type Owner = Kysely<Schema>;

interface Table {
  readonly name: string;
  /** SQL condition for the rows of organization $1. */
  readonly condition: string;
}

/** Excluded from the audit log: the organization's own callers add such events whenever they are refused. */
const REFUSALS = "action <> 'access.refused'";
/** Excluded tables: `audit_head` follows `audit_event`, and `usage_day` is written later for each key's own use. */
const LEFT_OUT = ['audit_head', 'usage_day'];
/** Excluded columns: they are written later, and only for the owner's own use. */
const COLUMNS_LEFT_OUT = ['last_used_at', 'last_used_address'];

async function readTables(owner: Owner): Promise<Table[]> {
  const { rows } = await sql<{ name: string; columns: string[] }>`
    select c.relname as name, array_agg(a.attname::text) as columns
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
     group by c.relname order by c.relname`.execute(owner);
  return rows.flatMap(({ name, columns }): Table[] => {
    if (LEFT_OUT.includes(name)) return [];
    if (name === 'organization') return [{ name, condition: 'id = $1' }];
    if (columns.includes('organization_id')) {
      return [{ name, condition: `organization_id = $1${name === 'audit_event' ? ` and ${REFUSALS}` : ''}` }];
    }
    const ofKey = 'key_id in (select id from api_key where organization_id = $1)';
    return columns.includes('key_id') ? [{ name, condition: ofKey }] : [];
  });
}

function ownedBy(condition: string, organizationId: string) {
  const [before, after = ''] = condition.split('$1') as [string, string?];
  return sql`${sql.raw(before)}${organizationId}::uuid${sql.raw(after)}`;
}

/** One digest for each table. It changes if a row of the organization is added, changed or removed. */
export async function readDigests(owner: Owner, organizationId: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const { name, condition } of await readTables(owner)) {
    const { rows } = await sql<{ digest: string }>`
      select count(*) || ' ' || md5(coalesce(string_agg(row, '' order by row), '')) as digest from (
        select md5((to_jsonb(t) - ${sql`${COLUMNS_LEFT_OUT}::text[]`})::text) as row
          from ${sql.table(name)} t where ${ownedBy(condition, organizationId)}) as own`.execute(owner);
    digests[name] = rows[0]!.digest;
  }
  return digests;
}

const TELLING = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[A-HJ-NPR-Z0-9]{17}\b/g;

/** Every UUID and VIN in the organization's rows, and the prefixes of its keys. */
export async function readValues(owner: Owner, organizationId: string): Promise<string[]> {
  const values = new Set<string>();
  for (const { name, condition } of await readTables(owner)) {
    const { rows } = await sql<{ text: string }>`
      select to_jsonb(t)::text as text from ${sql.table(name)} t where ${ownedBy(condition, organizationId)}`.execute(
      owner,
    );
    for (const { text } of rows) for (const [value] of text.matchAll(TELLING)) values.add(value);
  }
  const { rows } = await sql<{ prefix: string }>`
    select s.prefix from api_key_secret s join api_key k on k.id = s.key_id where k.organization_id = ${organizationId}::uuid`.execute(
    owner,
  );
  for (const { prefix } of rows) values.add(prefix);
  return [...values];
}

/** The number of events in the organization's audit log that were caused by users and keys of the callers' organization. */
export async function countActs(owner: Owner, organizationId: string, callerOrganizationId: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from audit_event where organization_id = ${organizationId}::uuid and actor_id in (
      select p.id from person p join organization o on o.id = p.organization_id
       where o.id = ${callerOrganizationId}::uuid and (o.kind <> 'operator' or p.role <> 'ADMIN')
      union all select id from api_key where organization_id = ${callerOrganizationId}::uuid)`.execute(owner);
  return rows[0]!.count;
}

/** Disables row-level security on every table, so that only the organization condition is left. Returns the number of tables. */
export async function disableRowSecurity(owner: Owner): Promise<number> {
  const { rows } = await sql<{ name: string }>`
    select oid::regclass::text as name from pg_class
     where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and relrowsecurity`.execute(owner);
  for (const { name } of rows) await sql.raw(`alter table ${name} disable row level security`).execute(owner);
  return rows.length;
}
