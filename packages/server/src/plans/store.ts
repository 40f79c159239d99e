import type { Plan, PlanProposal, ProductLimit } from '@gladhand/contract/limits.ts';
import type { Kysely, Selectable } from 'kysely';
import type { PlanTable, ProductLimitTable, Schema } from '../database/schema.ts';

/** The SQL of plans and of the intake limits that operators set. */
type Connection = Kysely<Schema>;

export async function readPlans(db: Connection): Promise<Plan[]> {
  return (await db.selectFrom('plan').selectAll().orderBy('slug').execute()).map(toPlan);
}

/** `isId`: whether `name` is the id; else it is the slug. */
export async function findPlan(db: Connection, name: string, isId: boolean): Promise<Plan | undefined> {
  const row = await db
    .selectFrom('plan')
    .selectAll()
    .where(isId ? 'id' : 'slug', '=', name)
    .executeTakeFirst();
  return row && toPlan(row);
}

/** False when its slug is taken. */
export async function insertPlan(db: Connection, plan: Plan): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('plan')
    .values({ id: plan.id, slug: plan.slug, created_at: new Date(plan.createdAt), ...toColumns(plan) })
    .onConflict((conflict) => conflict.column('slug').doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

/** The plan, kept from changing until the transaction ends. */
export async function lockPlan(db: Connection, id: string): Promise<Plan | undefined> {
  const row = await db.selectFrom('plan').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  return row && toPlan(row);
}

export async function updatePlan(db: Connection, plan: Plan): Promise<void> {
  await db.updateTable('plan').set(toColumns(plan)).where('id', '=', plan.id).execute();
}

export async function deletePlan(db: Connection, id: string): Promise<void> {
  await db.deleteFrom('plan').where('id', '=', id).execute();
}

export async function hasOrganizationsOn(db: Connection, planId: string): Promise<boolean> {
  const row = await db
    .selectFrom('organization')
    .select('id')
    .where('plan_id', '=', planId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** The organizations that are on another plan than `standard`. */
export function readAssignments(db: Connection): Promise<{ organizationId: string; planId: string | null }[]> {
  return db
    .selectFrom('organization')
    .select(['id as organizationId', 'plan_id as planId'])
    .where('plan_id', 'is not', null)
    .execute();
}

export async function readProductLimits(db: Connection): Promise<ProductLimit[]> {
  return (await db.selectFrom('product_limit').selectAll().execute()).map(toProductLimit);
}

export async function putProductLimit(db: Connection, limit: ProductLimit, at: Date): Promise<void> {
  const values = {
    requests_max: limit.limit,
    window_seconds: limit.windowSeconds,
    total_requests_max: limit.total?.limit ?? null,
    total_window_seconds: limit.total?.windowSeconds ?? null,
    mode: limit.mode,
    proposed_requests_max: limit.proposed?.limit ?? null,
    proposed_window_seconds: limit.proposed?.windowSeconds ?? null,
    updated_at: at,
  };
  await db
    .insertInto('product_limit')
    .values({ product: limit.product, created_at: at, ...values })
    .onConflict((conflict) => conflict.column('product').doUpdateSet(values))
    .execute();
}

function toPlan(row: Selectable<PlanTable>): Plan {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    mode: row.mode,
    readCapacity: row.read_capacity,
    readRefillPerSecond: row.read_refill_per_second,
    concurrentRequestsMax: row.concurrent_requests_max,
    waitMsMax: row.wait_ms_max,
    waitingRequestsMax: row.waiting_requests_max,
    streamsMax: row.streams_max,
    proposed: row.proposed as PlanProposal | null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}

function toColumns(plan: Plan) {
  return {
    name: plan.name,
    mode: plan.mode,
    read_capacity: plan.readCapacity,
    read_refill_per_second: plan.readRefillPerSecond,
    concurrent_requests_max: plan.concurrentRequestsMax,
    wait_ms_max: plan.waitMsMax,
    waiting_requests_max: plan.waitingRequestsMax,
    streams_max: plan.streamsMax,
    proposed: plan.proposed === null ? null : JSON.stringify(plan.proposed),
    updated_at: new Date(plan.updatedAt),
  };
}

function toProductLimit(row: Selectable<ProductLimitTable>): ProductLimit {
  return {
    product: row.product,
    limit: row.requests_max,
    windowSeconds: row.window_seconds,
    mode: row.mode,
    total: windowOf(row.total_requests_max, row.total_window_seconds),
    proposed: windowOf(row.proposed_requests_max, row.proposed_window_seconds),
    setBy: 'operator',
  };
}

function windowOf(limit: number | null, windowSeconds: number | null): ProductLimit['total'] {
  return limit === null || windowSeconds === null ? null : { limit, windowSeconds };
}
