/**
 * The latest value of each metric of one asset. Promise: a value is replaced only by one observed later, or observed
 * at the same instant and received later, so a late record never moves the picture back, whatever order records
 * arrive in. Pure.
 */
export interface LatestValue {
  readonly value: unknown;
  readonly observedAt: string;
  readonly receivedAt: string;
  readonly recordId: string;
  readonly deviceId: string | null;
}

export type LatestMetrics = Record<string, LatestValue>;

/** Instants are RFC 3339 UTC with milliseconds, so that text order is time order. */
export function isNewer(one: LatestValue, other: LatestValue | undefined): boolean {
  if (other === undefined || one.observedAt !== other.observedAt) return other === undefined || one.observedAt > other.observedAt;
  return one.receivedAt > other.receivedAt;
}

/** Takes `values` over into `metrics` where they are newer; tells whether anything changed. */
export function mergeLatest(metrics: LatestMetrics, values: Iterable<readonly [metric: string, value: LatestValue]>): boolean {
  let isChanged = false;
  for (const [metric, value] of values) {
    if (!isNewer(value, metrics[metric])) continue;
    metrics[metric] = value;
    isChanged = true;
  }
  return isChanged;
}
