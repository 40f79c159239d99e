import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type pg from 'pg';

/** Works for one organization at a time; row-level security shows it nothing else. */
export const APP_ROLE = 'gladhand_app';
/** Runs what serves every organization: intake, mapper, look-ups of keys. */
export const SYSTEM_ROLE = 'gladhand_system';

const ROLES = [APP_ROLE, SYSTEM_ROLE];
const INSUFFICIENT_PRIVILEGE = '42501';
const UNDEFINED_ROLE = '42704';
// Another node made the role at the same moment: seen before its commit, or after.
const MADE_MEANWHILE = ['42710', '23505'];

/**
 * Makes sure that both roles exist, that this login may act as them, and that neither can get past row-level
 * security. Roles belong to the whole PostgreSQL server, so its other databases may have made them already. Throws a
 * StartRefusal with the SQL to run when the login may not do it itself.
 */
export async function ensureRoles(client: pg.Client, place: string): Promise<void> {
  const needed: string[] = [];
  for (const role of ROLES) {
    if (!(await exists(client, role)) && !(await may(client, `create role ${role} nologin`))) {
      needed.push(`create role ${role} nologin;`);
    }
  }
  for (const role of ROLES) {
    const isOurs = needed.length === 0 && (await canBecome(client, role));
    if (!isOurs && !(await may(client, `grant ${role} to current_user`))) {
      needed.push(`grant ${role} to ${client.escapeIdentifier(client.user ?? '')};`);
    }
  }
  if (needed.length > 0) {
    throw new StartRefusal(
      `The PostgreSQL at ${place} lacks roles that Gladhand works as, and this login may not make them. Run this there once as a superuser, then start again: ${needed.join(' ')}`,
    );
  }
  await refuseMighty(client, place);
  await refuseTemporaryTables(client);
}

async function exists(client: pg.Client, role: string): Promise<boolean> {
  return (await client.query('select from pg_roles where rolname = $1', [role])).rowCount === 1;
}

async function canBecome(client: pg.Client, role: string): Promise<boolean> {
  return (await may(client, `set role ${role}`)) && (await may(client, 'reset role'));
}

/** Runs `statement` and tells whether this login was allowed to, and what it names is there. */
async function may(client: pg.Client, statement: string): Promise<boolean> {
  try {
    await client.query(statement);
    return true;
  } catch (error) {
    const { code = '' } = error as { code?: string };
    if (MADE_MEANWHILE.includes(code)) return true;
    if (code === INSUFFICIENT_PRIVILEGE || code === UNDEFINED_ROLE) return false;
    throw error;
  }
}

/** Gladhand would run as such a role and never notice that the wall is gone. */
async function refuseMighty(client: pg.Client, place: string): Promise<void> {
  const { rows } = await client.query<{ rolname: string }>(
    `select rolname from pg_roles r where rolname = any($1)
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
             or exists (select from pg_auth_members where member = r.oid))`,
    [ROLES],
  );
  if (rows.length === 0) return;
  const names = rows.map(({ rolname }) => rolname).join(' and ');
  throw new StartRefusal(
    `At ${place}, ${names} may do more than Gladhand allows its own work, so row-level security could be bypassed. As a superuser, take from it every attribute (alter role ... nosuperuser nobypassrls nocreaterole nocreatedb noreplication) and every membership in another role.`,
  );
}

/** A temporary table would stand in front of the real one for everybody who uses the connection next. */
async function refuseTemporaryTables(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `select format('revoke create, temporary on database %I from public', current_database()) as statement
      where has_database_privilege($1, current_database(), 'TEMP')`,
    [APP_ROLE],
  );
  // A login that does not own the database gets a warning here, and nothing changes.
  if (rows[0] !== undefined) await client.query(rows[0].statement).catch(ignoreConcurrentUpdate);
}

function ignoreConcurrentUpdate(error: Error): void {
  if (!error.message.includes('tuple concurrently updated')) throw error;
}
