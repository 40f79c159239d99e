import type { Organization } from '@gladhand/contract/organizations.ts';
import type { Kysely } from 'kysely';
import { SYSTEM_ORIGIN } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Schema } from '../database/schema.ts';
import * as store from './store.ts';

/** The organization that runs the installation. It is made once, with its first admin. */
const OPERATOR_SLUG = 'operator';

/** Undefined before there is one. */
export async function findOperatorId(db: Kysely<Schema>): Promise<string | undefined> {
  return (await store.findOperator(db))?.id;
}

/**
 * The organization with this slug, or the operator where none is named. Makes the operator when there is none yet. Whoever
 * calls waits for the others that do, until the transaction ends. Undefined: there is an operator, and nothing of that slug.
 */
export async function getOrMakeOperator(
  trx: Kysely<Schema>,
  slug: string | undefined,
  made: { readonly id: string; readonly at: Date },
): Promise<Organization | undefined> {
  await store.lockOperator(trx);
  const operator = await store.findOperator(trx);
  const named = slug === undefined ? operator : await store.findOrganization(trx, slug, false);
  if (named !== undefined || operator !== undefined) return named;
  const { id, at } = made;
  const details = { slug: slug ?? OPERATOR_SLUG, name: 'Operator', kind: 'operator' } as const;
  await store.insertOrganization(trx, { id, ...details, at });
  await recordAudit(trx, {
    ...SYSTEM_ORIGIN,
    organizationId: id,
    action: 'organization.created',
    target: { kind: 'organization', id },
    details,
    at,
  });
  return store.findOrganization(trx, id, true);
}

/** Whoever changes who may do what waits here, so that two admins cannot remove each other at once. */
export function lockOrganization(trx: Kysely<Schema>, id: string): Promise<void> {
  return store.lockOrganization(trx, id);
}
