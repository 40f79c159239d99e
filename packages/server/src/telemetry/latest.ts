import { STATED_LISTS } from '@gladhand/contract/metrics.ts';

/**
 * The latest value of each metric of one asset. Promise: a value is replaced only by one that was true at the same time
 * or later, so a late record never moves the picture back, whatever order records arrive in. When it was true is
 * `observedAt`, but never later than `receivedAt`: a device whose clock runs ahead does not freeze the picture until its
 * time has come. Of two values of one instant the one that comes later in order counts; the caller keeps the order. A list
 * that states what is up replaces what the same device stated before, unless a part of it could not be read: then its number
 * is not among the values, and it takes nothing down. Pure.
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
function trueAt({ observedAt, receivedAt }: LatestStamp): string {
  return observedAt < receivedAt ? observedAt : receivedAt;
}

/** Whether `one`, which comes later in order, takes the place of `other`. */
export function isNewer(one: LatestStamp, other: LatestStamp | undefined): boolean {
  return other === undefined || trueAt(one) >= trueAt(other);
}

/**
 * A group keeps so many metrics of one asset. The tires of a trailer with three axles have 72. What grows without end are
 * names that a partner makes up, such as fault codes. At some 240 bytes each, a group stays below 250 KB.
 */
export const LATEST_METRICS_PER_GROUP_MAX = 1_000;

/** At most LATEST_METRICS_PER_GROUP_MAX metrics: the newest. `isCapped` says whether any is missing, now or since before. */
export function capLatest(metrics: LatestMetrics, wasCapped: boolean): { metrics: LatestMetrics; isCapped: boolean } {
  const all = Object.entries(metrics);
  if (all.length < LATEST_METRICS_PER_GROUP_MAX) return { metrics, isCapped: false };
  if (all.length === LATEST_METRICS_PER_GROUP_MAX) return { metrics, isCapped: wasCapped };
  all.sort(([, one], [, other]) => (trueAt(one) < trueAt(other) ? 1 : trueAt(one) > trueAt(other) ? -1 : 0));
  return { metrics: Object.fromEntries(all.slice(0, LATEST_METRICS_PER_GROUP_MAX)), isCapped: true };
}

/** Takes the values of one record over into `metrics` where they are newer; tells whether anything changed. */
export function mergeLatest(
  metrics: LatestMetrics,
  stamp: LatestStamp,
  values: ReadonlyArray<readonly [metric: string, value: unknown]>,
): boolean {
  const { observedAt, receivedAt, recordId, deviceId } = stamp;
  let isChanged = false;
  const stale = new Set<string>();
  for (const list of STATED_LISTS) {
    if (!values.some(([metric]) => metric === list)) continue;
    if (isNewer(stamp, metrics[list])) isChanged = takeDown(metrics, list, stamp) || isChanged;
    else stale.add(list);
  }
  for (const [metric, value] of values) {
    if (stale.has(metric.split('[', 1)[0]!) || !isNewer(stamp, metrics[metric])) continue;
    metrics[metric] = { value, observedAt, receivedAt, recordId, deviceId };
    isChanged = true;
  }
  return isChanged;
}

/** Whatever the device stated before and does not state now is up no more. What it does state is written again. */
function takeDown(metrics: LatestMetrics, list: string, stamp: LatestStamp): boolean {
  let isChanged = false;
  for (const [metric, value] of Object.entries(metrics)) {
    if (!metric.startsWith(`${list}[`) || value.deviceId !== stamp.deviceId || !isNewer(stamp, value)) continue;
    delete metrics[metric];
    isChanged = true;
  }
  return isChanged;
}
