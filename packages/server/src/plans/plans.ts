import { Fault, nothingHere } from '@gladhand/base/fault.ts';
import { type Ids, isUuid } from '@gladhand/base/ids.ts';
import type { NewPlan, Plan, PlanChange } from '@gladhand/contract/limits.ts';
import type { Kysely } from 'kysely';
import type { Origin, Person } from '../access/principal.ts';
import type { Schema } from '../database/schema.ts';
import { STANDARD_PLAN } from './plan-directory.ts';
import { createRecordChange, type RecordChangeParts, type Recorded, refuseOthers } from './record-change.ts';
import * as store from './store.ts';

/**
 * How operators set limits: plans for customers, here, and windows for the intake of products (`product-limits.ts`).
 * Promise: a change counts on this node when it is answered and on every other within a second, use so far included, and
 * stands in the audit log of the operator's organization. Everything here is for platform operators; to others it is
 * `forbidden`.
 */
export interface Plans {
  list(person: Person): Promise<Plan[]>;
  /** By id or slug. */
  get(person: Person, name: string): Promise<Plan>;
  /** Throws `already-exists` for a taken slug. */
  create(person: Person, order: NewPlan, origin: Origin): Promise<Plan>;
  change(person: Person, name: string, change: PlanChange, origin: Origin): Promise<Plan>;
  /** Throws `plan-in-use` while organizations are on it, and always for the standard plan. */
  remove(person: Person, name: string, origin: Origin): Promise<void>;
}

export interface PlansParts extends RecordChangeParts {
  readonly ids: Ids;
}

export function createPlans(parts: PlansParts): Plans {
  const { database, ids } = parts;
  const recordChange = createRecordChange(parts);
  return {
    async list(person) {
      refuseOthers(person);
      return store.readPlans(database.system);
    },
    async get(person, name) {
      refuseOthers(person);
      return getPlan(database.system, name);
    },
    create: (person, order, origin) => recordChange(person, origin, (trx, at) => create(trx, ids.uuid(), order, at)),
    change: (person, name, wanted, origin) => recordChange(person, origin, (trx, at) => change(trx, name, wanted, at)),
    remove: (person, name, origin) => recordChange(person, origin, (trx) => remove(trx, name)),
  };
}

async function getPlan(db: Kysely<Schema>, name: string): Promise<Plan> {
  const found = await store.findPlan(db, name.toLowerCase(), isUuid(name));
  if (found === undefined) throw nothingHere('plan');
  return found;
}

async function create(trx: Kysely<Schema>, id: string, order: NewPlan, at: Date): Promise<Recorded<Plan>> {
  const kept = { createdAt: at.toISOString(), updatedAt: at.toISOString() };
  const plan: Plan = { id, proposed: null, ...order, ...kept };
  if (isUuid(plan.slug) || !(await store.insertPlan(trx, plan))) {
    throw new Fault('already-exists', 'A plan with this slug exists already.', {
      errors: [{ pointer: '/slug', code: 'taken', detail: 'is taken' }],
    });
  }
  return { result: plan, action: 'plan.created', target: { kind: 'plan', id }, details: order };
}

async function change(trx: Kysely<Schema>, name: string, wanted: PlanChange, at: Date): Promise<Recorded<Plan>> {
  const before = await store.lockPlan(trx, (await getPlan(trx, name)).id);
  if (before === undefined) throw nothingHere('plan');
  const plan: Plan = { ...before, ...wanted, updatedAt: at.toISOString() };
  await store.updatePlan(trx, plan);
  return { result: plan, action: 'plan.changed', target: { kind: 'plan', id: plan.id }, details: wanted };
}

async function remove(trx: Kysely<Schema>, name: string): Promise<Recorded<undefined>> {
  const { id, slug } = await getPlan(trx, name);
  await store.lockPlan(trx, id);
  if (slug === STANDARD_PLAN || (await store.hasOrganizationsOn(trx, id)))
    throw new Fault('plan-in-use', 'Organizations are on this plan. Put them on another one first.');
  await store.deletePlan(trx, id);
  return { result: undefined, action: 'plan.removed', target: { kind: 'plan', id }, details: { slug } };
}

/** Whether there is a plan with this id. */
export async function hasPlan(db: Kysely<Schema>, id: string): Promise<boolean> {
  return (await store.findPlan(db, id, true)) !== undefined;
}
