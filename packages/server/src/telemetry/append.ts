import { hash } from 'node:crypto';
import { metricsOf } from '@gladhand/contract/metrics.ts';
import type { States } from '@gladhand/contract/record.ts';
import type { Signals } from '@gladhand/contract/signals.ts';
import type { Kysely } from 'kysely';
import { uuidFrom } from '../base/ids.ts';
import type { Schema } from '../database/schema.ts';
import { type LatestMetrics, mergeLatest } from './latest.ts';
import { signalGroupBits } from './signal-groups.ts';
import * as store from './store.ts';

/**
 * Appending records to the truth. Promise: a record's identity is its content (asset, product, device, instant,
 * signals), so the same record appended twice is one record, and two different ones of one instant both stay; records
 * get positions in the order given (decision 0001); the latest values move forward with them, in the same transaction.
 * Assumes the partitions for the instants exist. Fails as the transaction fails: all of it or nothing.
 */
export interface NewRecord {
  readonly assetId: string;
  readonly assetKind: 'trailer' | 'deliversafe' | 'plant';
  readonly organizationId: string;
  readonly fleetId: string | null;
  readonly deviceId: string | null;
  readonly product: string;
  readonly mappingVersion: number;
  readonly receiptId: string;
  readonly observedAtMs: number;
  readonly deviceAtMs: number | null;
  readonly receivedAtMs: number;
  readonly signals: Signals;
  readonly states: States | undefined;
}

export interface Appended {
  /** The id of each record, in the order given; a record given twice has the same id twice. */
  readonly ids: readonly string[];
  /** How many of them were not there before. */
  readonly added: number;
}

export async function appendRecords(
  trx: Kysely<Schema>,
  records: readonly NewRecord[],
  processedAtMs: number,
): Promise<Appended> {
  if (records.length === 0) return { ids: [], added: 0 };
  const rows = records.map(toRow);
  await moveLatest(trx, records, rows);
  // Last, because from here to the commit every other writer waits.
  const added = await store.insertRecords(trx, rows, processedAtMs);
  return { ids: rows.map((row) => row.id), added };
}

function toRow(record: NewRecord): store.RecordRow {
  const signals = JSON.stringify(record.signals);
  const states = record.states === undefined ? null : JSON.stringify(record.states);
  const content = `${record.assetId}\n${record.product}\n${record.deviceId ?? ''}\n${record.observedAtMs}\n${signals}\n${states ?? ''}`;
  return {
    ...record,
    id: uuidFrom(record.observedAtMs, hash('sha256', content, 'buffer')),
    signalGroups: signalGroupBits(Object.keys(record.signals)),
    signalsJson: signals,
    statesJson: states,
  };
}

async function moveLatest(
  trx: Kysely<Schema>,
  records: readonly NewRecord[],
  rows: readonly store.RecordRow[],
): Promise<void> {
  const organizations = new Map(records.map((record) => [record.assetId, record.organizationId]));
  const known = await store.lockLatest(trx, organizations);
  const changed = new Map<string, LatestMetrics>();
  // From the newest on, so that what is older finds its place taken and is not built only to be replaced.
  const newestFirst = rows.toSorted(
    (one, other) => other.observedAtMs - one.observedAtMs || other.receivedAtMs - one.receivedAtMs,
  );
  for (const row of newestFirst) {
    const metrics = (known.get(row.assetId) ?? {}) as LatestMetrics;
    known.set(row.assetId, metrics);
    const observedAt = new Date(row.observedAtMs).toISOString();
    const receivedAt = new Date(row.receivedAtMs).toISOString();
    const stamp = { observedAt, receivedAt, recordId: row.id, deviceId: row.deviceId };
    if (mergeLatest(metrics, stamp, metricsOf(row.signals))) changed.set(row.assetId, metrics);
  }
  await store.writeLatest(
    trx,
    [...changed].map(([assetId, metrics]) => ({
      assetId,
      organizationId: organizations.get(assetId)!,
      metricsJson: JSON.stringify(metrics),
    })),
  );
}
