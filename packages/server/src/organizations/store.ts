import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';

export async function insertOrganization(
  executor: Kysely<Schema>,
  organization: { id: string; slug: string; name: string; kind: 'operator' | 'customer'; at: Date },
): Promise<void> {
  const { at, ...values } = organization;
  await executor.insertInto('organization').values({ ...values, created_at: at, updated_at: at }).execute();
}

export async function insertPerson(
  executor: Kysely<Schema>,
  person: { id: string; organizationId: string; email: string; name: string; role: 'ADMIN' | 'OPERATOR' | 'VIEWER'; passwordHash: string | null; at: Date },
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

export async function hasOrganizations(executor: Kysely<Schema>): Promise<boolean> {
  return (await executor.selectFrom('organization').select('id').limit(1).executeTakeFirst()) !== undefined;
}
