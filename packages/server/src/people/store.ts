import type { Walk } from '@gladhand/base/page.ts';
import type { User } from '@gladhand/contract/organizations.ts';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { Role } from '../access/principal.ts';
import { ofOrganization } from '../database/of-organization.ts';
import { toKept, undefinedWhenTaken } from '../database/rows.ts';
import type { PersonTable, Schema } from '../database/schema.ts';

/** The SQL of people. */
type Connection = Kysely<Schema>;

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

export async function listUsers(db: Connection, organizationId: string, slice: Walk): Promise<User[]> {
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
