import type { Organization, User } from '@gladhand/contract/organizations.ts';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { Role } from '../access/principal.ts';
import { ofOrganization } from '../database/first-wall.ts';
import type { OrganizationTable, PersonTable, Schema } from '../database/schema.ts';

/** The SQL of organizations and people. */
type Connection = Kysely<Schema>;

/** At most `take` rows with an id above `afterId`, in the order of their ids, which is that of their creation. */
export interface Slice {
  readonly afterId: string | null;
  readonly take: number;
}

const PG_UNIQUE_VIOLATION = '23505';

function undefinedWhenTaken(error: unknown): undefined {
  if ((error as { code?: string }).code === PG_UNIQUE_VIOLATION) return undefined;
  throw error;
}

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

export async function insertPerson(
  executor: Connection,
  person: {
    id: string;
    organizationId: string;
    email: string;
    name: string;
    role: 'ADMIN' | 'OPERATOR' | 'VIEWER';
    passwordHash: string | null;
    at: Date;
  },
): Promise<void> {
  await executor
    .insertInto('person')
    .values({
      id: person.id,
      organization_id: person.organizationId,
      email: person.email,
      name: person.name,
      role: person.role,
      password_hash: person.passwordHash,
      created_at: person.at,
      updated_at: person.at,
    })
    .execute();
}

export async function hasOrganizations(executor: Connection): Promise<boolean> {
  return (await executor.selectFrom('organization').select('id').limit(1).executeTakeFirst()) !== undefined;
}

// Reading organizations -------------------------------------------------------------------------------------------------

/** `isId`: whether `name` is the id; else it is the slug. */
export async function findOrganization(db: Connection, name: string, isId: boolean): Promise<Organization | undefined> {
  const row = await db.selectFrom('organization').selectAll().where(idOrSlug(name, isId)).executeTakeFirst();
  return row && toOrganization(row);
}

export async function listOrganizations(db: Connection, slice: Slice): Promise<Organization[]> {
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

// People ----------------------------------------------------------------------------------------------------------------

export async function listUsers(db: Connection, organizationId: string, slice: Slice): Promise<User[]> {
  const rows = await db
    .selectFrom('person')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toUser);
}

export async function findUser(db: Connection, organizationId: string, id: string): Promise<User | undefined> {
  const row = await db
    .selectFrom('person')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .executeTakeFirst();
  return row && toUser(row);
}

/** False when somebody has the email address, which ends the transaction. */
export async function addPerson(db: Connection, person: Parameters<typeof insertPerson>[1]): Promise<boolean> {
  return (await insertPerson(db, person).then(() => true, undefinedWhenTaken)) ?? false;
}

export interface PersonChange {
  readonly email?: string | undefined;
  readonly name?: string | undefined;
  readonly role?: Role | undefined;
  readonly isActive?: boolean | undefined;
  readonly passwordHash?: string | undefined;
}

/** The person as changed, or undefined when the new email address is taken, which ends the transaction. */
export async function updatePerson(
  db: Connection,
  organizationId: string,
  id: string,
  change: PersonChange,
  at: Date,
): Promise<User | undefined> {
  const row = await db
    .updateTable('person')
    .set({
      ...(change.email !== undefined && { email: change.email }),
      ...(change.name !== undefined && { name: change.name }),
      ...(change.role !== undefined && { role: change.role }),
      ...(change.isActive !== undefined && { is_active: change.isActive }),
      ...(change.passwordHash !== undefined && { password_hash: change.passwordHash }),
      updated_at: at,
    })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(undefinedWhenTaken);
  return row && toUser(row);
}

export async function countAdmins(db: Connection, organizationId: string): Promise<number> {
  const row = await db
    .selectFrom('person')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where(ofOrganization('organization_id', organizationId))
    .where('role', '=', 'ADMIN')
    .where('is_active', '=', true)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

export interface Account {
  readonly personId: string;
  readonly organizationId: string;
  readonly passwordHash: string | null;
  readonly isActive: boolean;
}

/** Across organizations: an email address names one person in the whole installation. */
export async function findAccount(db: Connection, email: string): Promise<Account | undefined> {
  const row = await db
    .selectFrom('person')
    .select(['id', 'organization_id', 'password_hash', 'is_active'])
    .where(sql<boolean>`lower(email) = lower(${email})`)
    .executeTakeFirst();
  return (
    row && {
      personId: row.id,
      organizationId: row.organization_id,
      passwordHash: row.password_hash,
      isActive: row.is_active,
    }
  );
}

/** The account as it stands, kept from changing until the transaction ends. */
export async function lockAccount(db: Connection, personId: string): Promise<Account | undefined> {
  const row = await db
    .selectFrom('person')
    .select(['id', 'organization_id', 'password_hash', 'is_active'])
    .where('id', '=', personId)
    .forUpdate()
    .executeTakeFirst();
  return (
    row && {
      personId: row.id,
      organizationId: row.organization_id,
      passwordHash: row.password_hash,
      isActive: row.is_active,
    }
  );
}

// Rows as the contract names them ---------------------------------------------------------------------------------------

function toOrganization(row: Selectable<OrganizationTable>): Organization {
  return { id: row.id, slug: row.slug, name: row.name, kind: row.kind, planId: row.plan_id, ...toKept(row) };
}

function toUser(row: Selectable<PersonTable>): User {
  return {
    id: row.id,
    organizationId: row.organization_id,
    email: row.email,
    name: row.name,
    role: row.role,
    isActive: row.is_active,
    hasPassword: row.password_hash !== null,
    ...toKept(row),
  };
}

function toKept(row: { created_at: Date; updated_at: Date }): { createdAt: string; updatedAt: string } {
  return { createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() };
}
