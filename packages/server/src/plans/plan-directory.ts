import type { Clock } from '@gladhand/base/clock.ts';
import { coalesce } from '@gladhand/base/coalesce.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Plan, ProductLimit } from '@gladhand/contract/limits.ts';
import type { Database } from '../database/database.ts';
import type { Epoch } from '../database/epoch.ts';
import type { Allowance, IntakeAllowance } from '../limits/allowance.ts';
import type { FixedWindow, LimitMode, TokenBucket } from '../limits/limits.ts';
import * as store from './store.ts';

/**
 * What everybody may use, in this node's memory, ready for the limits port. Promise: `of` and `intake` answer at once
 * and never ask the database; the tables are read again after every rise of the epoch, so a change is known within a
 * second on every node. Assumes few organizations on a plan of their own (all are held here).
 * Fails softly: while the database is away, what was known last holds, and it is asked again every `RETRY_MS`.
 */
export interface PlanDirectory {
  /** What this organization may use. */
  of(organizationId: string): PlanAllowance;
  /** Undefined: there is no such product. */
  intake(product: string): IntakeAllowance | undefined;
  /** What is set for the product, by the operator or its file. */
  findProductLimit(product: string): ProductLimit | undefined;
  /** Resolves when what was committed before the call is known. */
  refresh(): Promise<void>;
  close(): void;
}

/** A plan as the limits port takes it. */
export interface PlanAllowance extends Allowance {
  readonly plan: Plan;
}

export interface PlanDirectoryParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly epoch: Epoch;
  /** The limit of the product's file. */
  readonly findIntakeLimit: (product: string) => { limit: number; windowSeconds: number } | undefined;
  /** `report`: every limit is only reported, whatever its own mode. */
  readonly mode: LimitMode;
}

export const STANDARD_PLAN = 'standard';
const RETRY_MS = 250;

export async function openPlanDirectory(parts: PlanDirectoryParts): Promise<PlanDirectory> {
  const { database, clock, log } = parts;
  let standard: PlanAllowance;
  let allowances = new Map<string, PlanAllowance>();
  let limits = new Map<string, ProductLimit>();
  let windows = new Map<string, IntakeAllowance>();
  let isClosed = false;
  let cancelRetry = () => {};

  async function load(): Promise<void> {
    // One after the other: three connections at once would be all there are.
    const plans = await store.readPlans(database.system);
    const assignments = await store.readAssignments(database.system);
    const productLimits = await store.readProductLimits(database.system);
    const byId = new Map(plans.map((plan) => [plan.id, toPlanAllowance(plan, parts.mode)]));
    standard = [...byId.values()].find(({ plan }) => plan.slug === STANDARD_PLAN) ?? standard;
    allowances = new Map(
      assignments.map(({ organizationId, planId }) => [organizationId, byId.get(planId ?? '') ?? standard]),
    );
    limits = new Map(productLimits.map((limit) => [limit.product, limit]));
    windows = new Map();
  }

  const refresh = coalesce(load);

  function retry(error: unknown): void {
    log.warn({ err: error }, 'a change of limits is not known here yet');
    cancelRetry();
    if (!isClosed) cancelRetry = clock.after(RETRY_MS, () => void refresh().catch(retry));
  }

  function findProductLimit(product: string): ProductLimit | undefined {
    const own = parts.findIntakeLimit(product);
    if (own === undefined) return undefined;
    return limits.get(product) ?? { product, ...own, mode: 'enforce', total: null, proposed: null, setBy: 'product' };
  }

  // Before the first reading, so that no change falls between the two.
  const stopListening = parts.epoch.onRise(() => void refresh().catch(retry));
  await refresh();
  return {
    of: (organizationId) => allowances.get(organizationId) ?? standard,
    intake(product) {
      const known = windows.get(product);
      if (known !== undefined) return known;
      const limit = findProductLimit(product);
      if (limit === undefined) return undefined;
      const made = toIntakeAllowance(limit, parts.mode);
      windows.set(product, made);
      return made;
    },
    findProductLimit,
    refresh: () => refresh().catch(retry),
    close() {
      isClosed = true;
      stopListening();
      cancelRetry();
    },
  };
}

function toPlanAllowance(plan: Plan, overall: LimitMode): PlanAllowance {
  const mode = overall === 'report' ? 'report' : plan.mode;
  const { proposed } = plan;
  const reads: TokenBucket[] = [bucketOf('read', plan.readCapacity, plan.readRefillPerSecond, mode)];
  if (proposed?.readCapacity !== undefined || proposed?.readRefillPerSecond !== undefined) {
    const { readCapacity = plan.readCapacity, readRefillPerSecond = plan.readRefillPerSecond } = proposed;
    reads.push(bucketOf('read-proposed', readCapacity, readRefillPerSecond, 'report'));
  }
  return {
    plan,
    reads,
    concurrency: { name: 'concurrent-requests', slotsMax: plan.concurrentRequestsMax, mode },
    waitMsMax: plan.waitMsMax,
    waitingRequestsMax: plan.waitingRequestsMax,
    streams: { name: 'streams', slotsMax: plan.streamsMax, mode },
    proposedConcurrency: proposed?.concurrentRequestsMax,
    proposedStreams: proposed?.streamsMax,
  };
}

function bucketOf(name: string, capacity: number, refillPerSecond: number, mode: LimitMode): TokenBucket {
  return { algorithm: 'token-bucket', name, capacity, refillPerSecond, mode };
}

function toIntakeAllowance(set: ProductLimit, overall: LimitMode): IntakeAllowance {
  const mode = overall === 'report' ? 'report' : set.mode;
  const windows = (name: string, window: ProductLimit['total'], as: LimitMode): FixedWindow[] =>
    window === null ? [] : [{ algorithm: 'fixed-window', name, ...window, mode: as }];
  const { limit, windowSeconds, total, proposed } = set;
  return {
    perAsset: [...windows('intake', { limit, windowSeconds }, mode), ...windows('intake-proposed', proposed, 'report')],
    total: windows('intake-total', total, mode),
  };
}
