import { type MetricValue, metricsOf } from '@gladhand/contract/metrics.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import { capLatest, type LatestMetrics, type LatestStamp, mergeLatest } from './latest.ts';
import {
  deleteLatest,
  type LatestKey,
  latestKey,
  lockLatest,
  readReadings,
  type StoredReading,
  writeLatest,
} from './latest-store.ts';

/** A record as far as the latest values need it. */
export interface Reading extends StoredReading {
  readonly organizationId: string;
}

/** What one reading says of one group of signals. */
interface Said {
  readonly key: LatestKey;
  readonly stamp: LatestStamp;
  readonly values: Array<[metric: string, value: MetricValue]>;
}

/**
 * Moves the latest values of the readings' assets forward, in the caller's transaction. Assumes that the readings are new
 * and in order. Only the groups that a reading speaks of are read and written.
 */
export async function moveLatest(trx: Kysely<Schema>, readings: readonly Reading[]): Promise<void> {
  const said = readings.flatMap(sayOf);
  if (said.length === 0) return;
  const keys = new Map(said.map(({ key }) => [latestKey(key), key]));
  const known = await lockLatest(trx, [...keys.values()]);
  const changed = new Set<string>();
  for (const { key, stamp, values } of said) {
    const name = latestKey(key);
    if (mergeLatest(known.get(name)!.metrics as LatestMetrics, stamp, values)) changed.add(name);
  }
  await writeLatest(
    trx,
    [...changed].map((name) => {
      const { metrics, isCapped } = known.get(name)!;
      const kept = capLatest(metrics as LatestMetrics, isCapped);
      return { ...keys.get(name)!, metricsJson: JSON.stringify(kept.metrics), isCapped: kept.isCapped };
    }),
  );
}

function sayOf({ id, observedAtMs, receivedAtMs, deviceId, ...reading }: Reading): Said[] {
  const stamp = {
    observedAt: new Date(observedAtMs).toISOString(),
    receivedAt: new Date(receivedAtMs).toISOString(),
    recordId: id,
    deviceId,
  };
  const { assetId, organizationId } = reading;
  const byGroup = new Map<string, Said>();
  for (const metric of metricsOf(reading.signals, reading.states)) {
    const signalGroup = /^\w+/.exec(metric[0])![0];
    const said = byGroup.get(signalGroup);
    if (said !== undefined) said.values.push(metric);
    else byGroup.set(signalGroup, { key: { assetId, organizationId, signalGroup }, stamp, values: [metric] });
  }
  return [...byGroup.values()];
}

/**
 * Makes the latest values of an asset anew from the records that are stored, in the order of their positions. They come out
 * as they were kept, but for what retention has dropped since. Holds the asset's values locked until the commit.
 */
export async function rebuildLatest(
  trx: Kysely<Schema>,
  asset: { readonly assetId: string; readonly organizationId: string },
): Promise<void> {
  await deleteLatest(trx, asset.assetId);
  for (let after = 0; ; ) {
    const page = await readReadings(trx, asset.assetId, after, REBUILT_RECORDS_PER_STEP);
    if (page.length === 0) return;
    await moveLatest(
      trx,
      page.map((row) => ({ ...row, organizationId: asset.organizationId })),
    );
    after = page.at(-1)!.position;
  }
}

const REBUILT_RECORDS_PER_STEP = 1_000;
