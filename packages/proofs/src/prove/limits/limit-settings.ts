import { readMetric } from '../../rig/server-process.ts';
import { delay } from '../../rig/wait.ts';
import type { Cluster } from './cluster.ts';

/** A window as an operator sets it over the public API. */
export interface Window {
  readonly limit: number;
  readonly windowSeconds: number;
}

/** A limit that no request reaches. */
export const PLENTY: Window = { limit: 1_000_000_000, windowSeconds: 60 };

/** Attempts per key in 5 minutes, as documented. */
export const AUTHENTICATE_LIMIT = 10;
export const AUTHENTICATE_WINDOW_SECONDS = 300;

/** A changed limit is in force on every node within this time, as documented. */
const EVERYWHERE_MS = 1_000;

export async function editProduct(
  cluster: Cluster,
  product: string,
  { perProduct, perVin }: { perProduct: Window | null; perVin: Window },
): Promise<void> {
  await cluster.administer('PUT', `/products/${product}/limit`, { ...perVin, total: perProduct, mode: 'enforce' });
  await delay(EVERYWHERE_MS);
}

export interface PlanChange {
  readonly readCapacity?: number;
  readonly readRefillPerSecond?: number;
  readonly concurrentRequestsMax?: number;
  readonly streamsMax?: number;
}

/** Plan settings that no request of the proof reaches. */
const PLENTIFUL = {
  readCapacity: 1_000_000,
  readRefillPerSecond: 1_000_000,
  concurrentRequestsMax: 10_000,
  streamsMax: 10_000,
  waitMsMax: 250,
  waitingRequestsMax: 100,
  mode: 'enforce',
};

/** Gives a customer its own plan. Settings that `change` leaves out are so high that no request reaches them. */
export async function editPlan(cluster: Cluster, customer: string, change: PlanChange): Promise<void> {
  const slug = `of-${customer}`;
  const settings = { name: `Of ${customer}`, ...PLENTIFUL, ...change };
  const { data } = (await cluster.administer('GET', '/plans')) as { data: { id: string; slug: string }[] };
  const known = data.find((plan) => plan.slug === slug);
  if (known !== undefined) await cluster.administer('PATCH', `/plans/${known.id}`, settings);
  else {
    const made = (await cluster.administer('POST', '/plans', { slug, ...settings })) as { id: string };
    const { id } = cluster.installation.customers[customer]!;
    await cluster.administer('PATCH', `/organizations/${id}`, { planId: made.id });
  }
  await delay(EVERYWHERE_MS);
}

/** The number of decisions that the nodes have made by their local share, because Redis was late or unavailable. */
export async function readDecisionsByShare(cluster: Cluster): Promise<number> {
  let sum = 0;
  for (const { site } of cluster.nodes) sum += await readMetric(site, 'gladhand_limits_by_share_total');
  return sum;
}
