import { hash } from 'node:crypto';
import { uuidFrom } from '@gladhand/base/ids.ts';
import { metricsOf } from '@gladhand/contract/metrics.ts';
import type { AssetKind, States } from '@gladhand/contract/record.ts';
import { type Signals, signalBits } from '@gladhand/contract/signals.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import { type LatestMetrics, mergeLatest } from './latest.ts';
import * as store from './store.ts';

/**
 * Appending records to the truth. Promise: a record's identity is its content (asset, product, device, instant,
 * signals), so the same record appended twice is one record, and two different ones of one instant both stay; records
 * get positions in the order given (decision 0001); the latest values move forward with what is new, in the same transaction.
 * Assumes the partitions for the instants exist. Fails as the transaction fails: all of it or nothing.
 */
export interface NewRecord {
  readonly assetId: string;
  readonly assetKind: AssetKind;
  readonly organizationId: string;
  readonly fleetId: string | null;
  readonly deviceId: string | null;
  readonly product: string;
  readonly mappingVersion: number;
  readonly receiptId: string;
  readonly observedAtMs: number;
  readonly deviceAtMs: number | null;
  /** `deviceAtMs` is part of what the record says: the same signals at another `deviceAtMs` are another record. */
  readonly isIdentifiedByDeviceAt?: boolean;
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
  // Which records are new is known after this. From here to the commit every other writer waits.
  const added = await store.insertRecords(trx, rows, processedAtMs);
  await moveLatest(trx, newRows(rows, added));
  return { ids: rows.map((row) => row.id), added: added.size };
}

/**
 * The rows that may move the latest values, in order. A record that was there before says nothing new: a retry of an
 * older message, sent after a newer one of the same instant, must not bring its values back. Within one payload a state
 * may return (open, closed, open): then the record counts where it was said last.
 */
function newRows(rows: readonly store.RecordRow[], added: ReadonlySet<string>): store.RecordRow[] {
  const firstReceipts = new Map<string, string>();
  return rows.filter(({ id, receiptId }) => {
    if (!added.has(id)) return false;
    const first = firstReceipts.get(id);
    if (first === undefined) firstReceipts.set(id, receiptId);
    return first === undefined || first === receiptId;
  });
}

function toRow(record: NewRecord): store.RecordRow {
  const signals = JSON.stringify(record.signals);
  const states = record.states === undefined ? null : JSON.stringify(record.states);
  const said = record.isIdentifiedByDeviceAt ? `${record.observedAtMs} ${record.deviceAtMs}` : record.observedAtMs;
  const content = `${record.assetId}\n${record.product}\n${record.deviceId ?? ''}\n${said}\n${signals}\n${states ?? ''}`;
  return {
    ...record,
    id: uuidFrom(record.observedAtMs, hash('sha256', content, 'buffer')),
    signalGroups: signalBits(record.signals),
    signalsJson: signals,
    statesJson: states,
  };
}

async function moveLatest(trx: Kysely<Schema>, rows: readonly store.RecordRow[]): Promise<void> {
  if (rows.length === 0) return;
  const organizations = new Map(rows.map((row) => [row.assetId, row.organizationId]));
  const known = await store.lockLatest(trx, organizations);
  const changed = new Map<string, LatestMetrics>();
  for (const row of rows) {
    const metrics = (known.get(row.assetId) ?? {}) as LatestMetrics;
    known.set(row.assetId, metrics);
    const observedAt = new Date(row.observedAtMs).toISOString();
    const receivedAt = new Date(row.receivedAtMs).toISOString();
    const stamp = { observedAt, receivedAt, recordId: row.id, deviceId: row.deviceId };
    if (mergeLatest(metrics, stamp, metricsOf(row.signals, row.states))) changed.set(row.assetId, metrics);
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
