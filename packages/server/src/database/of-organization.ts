import { type RawBuilder, type SqlBool, sql } from 'kysely';

/**
 * The first wall: every statement about what an organization owns says so here, and nowhere else, so that a test can
 * put another file in this one's place and see that the second wall (row-level security) holds alone. `column` is
 * `organization_id`, with the table's alias where there is one.
 */
export function ofOrganization(column: string, organizationId: string): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} = ${organizationId}`;
}

/** The same for several organizations at once, for what serves all of them: there is no second wall behind it. */
export function ofOrganizations(column: string, organizationIds: readonly string[]): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} = any(${organizationIds}::uuid[])`;
}
