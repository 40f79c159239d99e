import type { Clock } from '@gladhand/base/clock.ts';
import { Fault, nothingHere } from '@gladhand/base/fault.ts';
import { type Ids, isUuid } from '@gladhand/base/ids.ts';
import type { NewPlan, Plan, PlanChange, ProductLimit, ProductLimitChange } from '@gladhand/contract/limits.ts';
import type { Kysely } from 'kysely';
import { isPlatformOperator, type Origin, type Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import { STANDARD_PLAN } from './plan-directory.ts';
import * as store from './store.ts';

/**
 * How operators set limits: plans for customers, windows for the intake of products. Promise: a change counts on this
 * node when it is answered and on every other within a second, use so far included, and stands in the audit log of the
 * operator's organization. Everything here is for platform operators; to others it is `forbidden`.
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
  getProductLimit(person: Person, product: string): ProductLimit;
  setProductLimit(person: Person, product: string, change: ProductLimitChange, origin: Origin): Promise<ProductLimit>;
}

export interface PlansParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly findProductLimit: (product: string) => ProductLimit | undefined;
  /** Called after a commit; resolves when this node knows. */
  readonly onChanged: () => Promise<void>;
}

export function createPlans(parts: PlansParts): Plans {
  const { database, clock, ids } = parts;

  /** Does `work` and writes it into the operator's log, both or neither; then everybody is told. */
  async function change<Result>(
    person: Person,
    origin: Origin,
    work: (
      trx: Kysely<Schema>,
      at: Date,
    ) => Promise<{ result: Result; action: string; target: Target; details: object }>,
  ): Promise<Result> {
    refuseOthers(person);
    const at = new Date(clock.nowMs());
    const made = await database.system.transaction().execute(async (trx) => {
      const { result, action, target, details } = await work(trx, at);
      await recordAudit(trx, {
        ...origin,
        organizationId: person.organizationId,
        action,
        target,
        details: { ...details },
        at,
      });
      return result;
    });
    await parts.onChanged();
    return made;
  }

  async function get(db: Kysely<Schema>, name: string): Promise<Plan> {
    const found = await store.findPlan(db, name.toLowerCase(), isUuid(name));
    if (found === undefined) throw nothingHere('plan');
    return found;
  }

  function getProductLimit(person: Person, product: string): ProductLimit {
    refuseOthers(person);
    const limit = parts.findProductLimit(product);
    if (limit === undefined) throw nothingHere('product');
    return limit;
  }

  return {
    async list(person) {
      refuseOthers(person);
      return store.readPlans(database.system);
    },
    async get(person, name) {
      refuseOthers(person);
      return get(database.system, name);
    },
    create: (person, order, origin) =>
      change(person, origin, async (trx, at) => {
        const kept = { createdAt: at.toISOString(), updatedAt: at.toISOString() };
        const plan: Plan = { id: ids.uuid(), proposed: null, ...order, ...kept };
        if (isUuid(plan.slug) || !(await store.insertPlan(trx, plan))) {
          throw new Fault('already-exists', 'A plan with this slug exists already.', {
            errors: [{ pointer: '/slug', code: 'taken', detail: 'is taken' }],
          });
        }
        return { result: plan, action: 'plan.created', target: { kind: 'plan', id: plan.id }, details: order };
      }),
    change: (person, name, wanted, origin) =>
      change(person, origin, async (trx, at) => {
        const before = await store.lockPlan(trx, (await get(trx, name)).id);
        if (before === undefined) throw nothingHere('plan');
        const plan: Plan = { ...before, ...wanted, updatedAt: at.toISOString() };
        await store.updatePlan(trx, plan);
        return { result: plan, action: 'plan.changed', target: { kind: 'plan', id: plan.id }, details: wanted };
      }),
    remove: (person, name, origin) =>
      change(person, origin, async (trx) => {
        const { id, slug } = await get(trx, name);
        await store.lockPlan(trx, id);
        if (slug === STANDARD_PLAN || (await store.hasOrganizationsOn(trx, id))) {
          throw new Fault('plan-in-use', 'Organizations are on this plan. Put them on another one first.');
        }
        await store.deletePlan(trx, id);
        return { result: undefined, action: 'plan.removed', target: { kind: 'plan', id }, details: { slug } };
      }),
    getProductLimit,
    setProductLimit(person, product, wanted, origin) {
      const before = getProductLimit(person, product);
      return change(person, origin, async (trx, at) => {
        const limit: ProductLimit = {
          product,
          mode: before.mode,
          total: null,
          proposed: null,
          ...wanted,
          setBy: 'operator',
        };
        await store.putProductLimit(trx, limit, at);
        const target = { kind: 'product', id: product };
        return { result: limit, action: 'product-limit.changed', target, details: wanted };
      });
    },
  };
}

type Target = { readonly kind: string; readonly id: string };

function refuseOthers(person: Person): void {
  if (!isPlatformOperator(person))
    throw new Fault('forbidden', 'Only an admin of the operator can see and set limits.');
}

/** Whether there is a plan with this id. */
export async function hasPlan(db: Kysely<Schema>, id: string): Promise<boolean> {
  return (await store.findPlan(db, id, true)) !== undefined;
}
