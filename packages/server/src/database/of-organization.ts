import { type RawBuilder, type SqlBool, sql } from 'kysely';

/**
 * The condition that rows belong to an organization. Every statement has it from here and from nowhere else. So a test can
 * replace this file, and see that row-level security alone keeps organizations apart (decision 0007). `column` is
 * `organization_id`, with the alias of the table if there is one.
 */
export function ofOrganization(column: string, organizationId: string): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} = ${organizationId}`;
}

/** The same for several organizations at once, for the role that reads all of them. Row-level security does not check it. */
export function ofOrganizations(column: string, organizationIds: readonly string[]): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} = any(${organizationIds}::uuid[])`;
}
