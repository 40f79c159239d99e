/**
 * The latest value of each metric of one asset. Promise: a value is replaced only by one observed later, or observed
 * at the same instant and received later, so a late record never moves the picture back, whatever order records
 * arrive in. Pure.
 */
export interface LatestStamp {
  readonly observedAt: string;
  readonly receivedAt: string;
  readonly recordId: string;
  readonly deviceId: string | null;
}

export interface LatestValue extends LatestStamp {
  readonly value: unknown;
}

export type LatestMetrics = Record<string, LatestValue>;

/** Instants are RFC 3339 UTC with milliseconds, so that text order is time order. */
export function isNewer(one: LatestStamp, other: LatestStamp | undefined): boolean {
  if (other === undefined || one.observedAt !== other.observedAt)
    return other === undefined || one.observedAt > other.observedAt;
  return one.receivedAt > other.receivedAt;
}

/** Takes the values of one record over into `metrics` where they are newer; tells whether anything changed. */
export function mergeLatest(
  metrics: LatestMetrics,
  stamp: LatestStamp,
  values: Iterable<readonly [metric: string, value: unknown]>,
): boolean {
  const { observedAt, receivedAt, recordId, deviceId } = stamp;
  let isChanged = false;
  for (const [metric, value] of values) {
    if (!isNewer(stamp, metrics[metric])) continue;
    metrics[metric] = { value, observedAt, receivedAt, recordId, deviceId };
    isChanged = true;
  }
  return isChanged;
}
