import { isUuid } from '@gladhand/base/ids.ts';
import { type Kysely, sql } from 'kysely';
import type { Access, Database } from './database.ts';
import { APP_ROLE } from './roles.ts';
import type { Schema } from './schema.ts';

const BEGIN: Readonly<Record<Access, string>> = {
  write: 'begin read write',
  read: 'begin read only',
  // Bitmaps are off on every connection of this role.
  walk: 'begin read only; set local enable_sort = off; set local enable_seqscan = off',
};

/**
 * The one way into an organization's data. The organization is named for the transaction only (`set local`), so the
 * next user of the connection starts without one whatever happened before: a commit, a throw, a killed backend.
 */
export function createWithin(app: Kysely<Schema>): Database['within'] {
  return (organizationId, work, access = 'write') => {
    const begin = `${BEGIN[access]}; ${naming(organizationId)}`;
    return app.connection().execute(async (connection) => {
      await run(connection, begin);
      try {
        const result = await work(connection);
        await commit(connection);
        return result;
      } catch (error) {
        await run(connection, 'rollback').catch(() => {});
        throw error;
      }
    });
  };
}

/**
 * Makes an open transaction of `database.system` one of this organization, until it ends: for work that begins with
 * what no organization may do, such as making one.
 */
export async function narrow(transaction: Kysely<Schema>, organizationId: string): Promise<void> {
  await run(transaction, `set local role ${APP_ROLE}; ${naming(organizationId)}`);
}

/** Written out rather than sent as a parameter, so that it travels with `begin`. */
function naming(organizationId: string): string {
  if (!isUuid(organizationId)) throw new TypeError(`Not the id of an organization: ${organizationId}`);
  return `set local gladhand.organization_id = '${organizationId}'`;
}

async function commit(connection: Kysely<Schema>): Promise<void> {
  const [outcome] = (await run(connection, 'commit')) as { command?: string }[];
  // A statement failed and the work went on as if it had not: PostgreSQL has undone all of it.
  if (outcome?.command === 'ROLLBACK') throw new Error('The transaction was rolled back: one of its statements failed');
}

async function run(connection: Kysely<Schema>, statements: string): Promise<unknown[]> {
  return (await sql.raw(statements).execute(connection)).rows;
}
