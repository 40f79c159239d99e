import { hash } from 'node:crypto';
import { uuidFrom } from '@gladhand/base/ids.ts';
import { canonicalSignals } from '@gladhand/contract/canonical-signals.ts';
import type { AssetKind, States } from '@gladhand/contract/record.ts';
import { type Signals, signalBits } from '@gladhand/contract/signals.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import { moveLatest } from './move-latest.ts';
import * as store from './store.ts';

/**
 * Appending records to the truth. Promise: a record's identity is its content (asset, product, device, instant,
 * signals in whatever order), so the same record appended twice is one record, and two different ones of one instant both stay; records
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
  const distinct = distinctRows(rows);
  const added = await store.insertRecords(trx, distinct, processedAtMs);
  // A record that was there before says nothing new: a retry of an older message, sent after a newer one of the same
  // instant, must not bring its values back.
  await moveLatest(
    trx,
    distinct.filter(({ id }) => added.has(id)),
  );
  return { ids: rows.map((row) => row.id), added: added.size };
}

/**
 * Each record once. Within one payload a state may return (open, closed, open): then the record has the place where it was
 * said last. In a later payload the same record is a repeat of the one before.
 */
function distinctRows(rows: readonly store.RecordRow[]): store.RecordRow[] {
  const distinct = new Map<string, store.RecordRow>();
  for (const row of rows) {
    const first = distinct.get(row.id);
    if (first !== undefined && first.receiptId !== row.receiptId) continue;
    distinct.delete(row.id);
    distinct.set(row.id, row);
  }
  return [...distinct.values()];
}

function toRow(record: NewRecord): store.RecordRow {
  const signals = JSON.stringify(canonicalSignals(record.signals));
  const states = record.states === undefined ? null : JSON.stringify(inOrder(record.states));
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

function inOrder(states: States): States {
  return Object.fromEntries(Object.entries(states).sort(([one], [other]) => (one < other ? -1 : 1)));
}
