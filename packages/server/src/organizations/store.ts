import type { Walk } from '@gladhand/base/page.ts';
import type { Organization } from '@gladhand/contract/organizations.ts';
import { type Kysely, type Selectable, sql } from 'kysely';
import { toKept, undefinedWhenTaken } from '../database/rows.ts';
import type { OrganizationTable, Schema } from '../database/schema.ts';

/** The SQL of organizations. */
type Connection = Kysely<Schema>;

/** `text` as an id when it is written like one: whatever else cannot be compared with a uuid column. */
function idOrSlug(text: string, isId: boolean) {
  return isId ? sql<boolean>`id = ${text}::uuid` : sql<boolean>`slug = ${text}`;
}

export async function insertOrganization(
  executor: Connection,
  organization: { id: string; slug: string; name: string; kind: 'operator' | 'customer'; at: Date },
): Promise<void> {
  const { at, ...values } = organization;
  await executor
    .insertInto('organization')
    .values({ ...values, created_at: at, updated_at: at })
    .execute();
}

export async function hasOrganizations(executor: Connection): Promise<boolean> {
  return (await executor.selectFrom('organization').select('id').limit(1).executeTakeFirst()) !== undefined;
}

/** `isId`: whether `name` is the id; else it is the slug. */
export async function findOrganization(db: Connection, name: string, isId: boolean): Promise<Organization | undefined> {
  const row = await db.selectFrom('organization').selectAll().where(idOrSlug(name, isId)).executeTakeFirst();
  return row && toOrganization(row);
}

export async function listOrganizations(db: Connection, slice: Walk): Promise<Organization[]> {
  const rows = await db
    .selectFrom('organization')
    .selectAll()
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toOrganization);
}

/** The organization that runs the installation; the first, should there be several. */
export async function findOperator(db: Connection): Promise<Organization | undefined> {
  const row = await db
    .selectFrom('organization')
    .selectAll()
    .where('kind', '=', 'operator')
    .orderBy('id')
    .executeTakeFirst();
  return row && toOrganization(row);
}

/** Whoever makes the operator waits here, so that two first admins do not make two. Held until the transaction ends. */
export async function lockOperator(db: Connection): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('organization'), hashtext('operator'))`.execute(db);
}

/** False when its slug is taken, which ends the transaction. */
export async function addOrganization(
  db: Connection,
  organization: Parameters<typeof insertOrganization>[1],
): Promise<boolean> {
  return (await insertOrganization(db, organization).then(() => true, undefinedWhenTaken)) ?? false;
}

/** What is undefined stays. */
export async function changeOrganization(
  db: Connection,
  id: string,
  change: { readonly name: string | undefined; readonly planId: string | null | undefined },
  at: Date,
): Promise<Organization> {
  const row = await db
    .updateTable('organization')
    .set({
      ...(change.name !== undefined && { name: change.name }),
      ...(change.planId !== undefined && { plan_id: change.planId }),
      updated_at: at,
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return toOrganization(row);
}

/** Whoever changes who may do what waits here, so that two admins cannot remove each other at once. */
export async function lockOrganization(db: Connection, id: string): Promise<void> {
  await db.selectFrom('organization').select('id').where('id', '=', id).forNoKeyUpdate().execute();
}

function toOrganization(row: Selectable<OrganizationTable>): Organization {
  return { id: row.id, slug: row.slug, name: row.name, kind: row.kind, planId: row.plan_id, ...toKept(row) };
}
