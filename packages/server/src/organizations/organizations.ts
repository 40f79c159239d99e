import type { Clock } from '@gladhand/base/clock.ts';
import { Fault, nothingHere } from '@gladhand/base/fault.ts';
import { type Ids, isUuid } from '@gladhand/base/ids.ts';
import { type Listed, listById, type Walk } from '@gladhand/base/page.ts';
import type { NewOrganization, Organization, OrganizationChange } from '@gladhand/contract/organizations.ts';
import type { Kysely } from 'kysely';
import { isPlatformOperator, type Origin, type Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import { hasPlan } from '../plans/plans.ts';
import * as store from './store.ts';

/**
 * Who the installation serves. Promise: a person reaches their own organization, a platform operator every one, and
 * to everybody else an organization that exists and one that does not are the same answer; whatever is changed here
 * stands in the audit log of the organization that was changed. Assumes the caller's role was checked at the wall.
 * Fails as the database fails.
 */
export interface Organizations {
  /** By id or slug. Throws `not-found` for what `person` may not see and for what is not there. */
  getReachable(person: Person, name: string): Promise<Organization>;
  /** Those `person` may see, in the order of their creation. */
  list(person: Person, walk: Walk): Promise<Listed<Organization>>;
  /** A customer organization. Throws `forbidden` for all but platform operators, `already-exists` for a taken slug. */
  create(person: Person, order: NewOrganization, origin: Origin): Promise<Organization>;
  /** Throws `forbidden` for a change of plan by anybody but a platform operator. */
  change(person: Person, organization: Organization, change: OrganizationChange, origin: Origin): Promise<Organization>;
}

export interface OrganizationsParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Called after an organization was put on another plan; resolves when this node knows. */
  readonly onPlanChanged: () => Promise<void>;
}

export function createOrganizations(parts: OrganizationsParts): Organizations {
  const { database, clock } = parts;
  return {
    async getReachable(person, name) {
      const isId = isUuid(name);
      // A slug is at most 63 of a few letters; anything else need not be asked for.
      const found =
        isId || /^[a-z0-9-]{1,63}$/.test(name)
          ? await store.findOrganization(database.system, name.toLowerCase(), isId)
          : undefined;
      if (found === undefined || (found.id !== person.organizationId && !isPlatformOperator(person)))
        throw nothingHere('organization');
      return found;
    },
    async list(person, walk) {
      if (isPlatformOperator(person)) return listById(walk, (slice) => store.listOrganizations(database.system, slice));
      const read = (slice: Walk) =>
        database.within(person.organizationId, (db) => store.listOrganizations(db, slice), 'read');
      return listById(walk, async (slice) => (await read(slice)).filter(({ id }) => id === person.organizationId));
    },
    create: (person, order, origin) => createOrganization(parts, person, order, origin),
    async change(person, { id }, change, origin) {
      const at = new Date(clock.nowMs());
      const work = (trx: Kysely<Schema>) => changeOrganization(trx, id, change, origin, at);
      if (change.planId === undefined) return database.within(id, work);
      if (!isPlatformOperator(person))
        throw new Fault('forbidden', 'Only an admin of the operator can put an organization on another plan.');
      const changed = await database.system.transaction().execute(work);
      await parts.onPlanChanged();
      return changed;
    },
  };
}

async function createOrganization(
  { database, clock, ids }: OrganizationsParts,
  person: Person,
  order: NewOrganization,
  origin: Origin,
): Promise<Organization> {
  if (!isPlatformOperator(person))
    throw new Fault('forbidden', 'Only an admin of the operator can make organizations.');
  if (isUuid(order.slug)) {
    throw new Fault('validation-failed', 'A slug may not look like an id.', {
      errors: [{ pointer: '/slug', code: 'format', detail: 'looks like an id' }],
    });
  }
  const { slug, name } = order;
  const at = new Date(clock.nowMs());
  const id = ids.uuid();
  return database.system.transaction().execute(async (trx) => {
    if (!(await store.addOrganization(trx, { id, slug, name, kind: 'customer', at }))) throw slugTaken();
    await record(trx, id, 'organization.created', { ...order }, origin, at);
    return (await store.findOrganization(trx, id, true))!;
  });
}

async function changeOrganization(
  trx: Kysely<Schema>,
  id: string,
  change: OrganizationChange,
  origin: Origin,
  at: Date,
): Promise<Organization> {
  const { name, planId } = change;
  if (planId !== undefined) await refuseUnknownPlan(trx, planId);
  const changed = await store.changeOrganization(trx, id, { name, planId }, at);
  await record(trx, id, 'organization.changed', { ...change }, origin, at);
  return changed;
}

function record(
  trx: Kysely<Schema>,
  organizationId: string,
  action: string,
  details: Readonly<Record<string, unknown>>,
  origin: Origin,
  at: Date,
): Promise<void> {
  const target = { kind: 'organization', id: organizationId };
  return recordAudit(trx, { ...origin, organizationId, action, target, details, at });
}

function slugTaken(): Fault {
  return new Fault('already-exists', 'An organization with this slug exists already.', {
    errors: [{ pointer: '/slug', code: 'taken', detail: 'is taken' }],
  });
}

async function refuseUnknownPlan(trx: Kysely<Schema>, planId: string | null): Promise<void> {
  if (planId === null || (await hasPlan(trx, planId))) return;
  throw new Fault('validation-failed', 'There is no such plan.', {
    errors: [{ pointer: '/planId', code: 'unknown', detail: 'is not the id of a plan' }],
  });
}
