import type { ReadLog, Sending } from './client-log.ts';
import { habitOf } from './lanes.ts';

/** What the database holds: the parts that the checks need. */
export interface Stored {
  readonly envelopes: readonly StoredEnvelope[];
  readonly records: readonly StoredRecord[];
  /** Envelopes that are not mapped yet. Zero once the intake log is empty. */
  readonly queued: number;
}

export interface StoredEnvelope {
  readonly id: string;
  readonly vin: string;
  /** The sequence number in the body. */
  readonly sequence: number;
  /** Whether the body has exactly the bytes that the client sent. */
  readonly isWhole: boolean;
  readonly receipts: number;
  readonly status: string | null;
}

export interface StoredRecord {
  readonly vin: string;
  readonly sequence: number;
  readonly position: number;
  readonly receiptId: string;
}

export interface Findings {
  readonly acknowledged: number;
  /** Payloads that were stored although no attempt was acknowledged. This is allowed. */
  readonly storedUnacknowledged: number;
  /** Attempts that got the receipt of an earlier attempt, whose 202 had not arrived. */
  readonly replayed: number;
  readonly lost: number;
  readonly doubled: number;
  readonly disordered: number;
  /** Envelopes and records in the database that the client did not send in this form. */
  readonly unexplained: number;
  /** The first findings as sentences. */
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 10;

/**
 * Compares the client's log with the database and counts four kinds of errors:
 * - Lost: a payload was acknowledged, but its envelope, its `processed` receipt or its record is missing or changed.
 * - Doubled: a payload has two records, an envelope has two receipts, or a payload has two envelopes although it was sent
 *   once or with an Idempotency-Key.
 * - Disordered: the positions of a VIN's records do not rise with the sequence numbers.
 * - Unexplained: an envelope or record that the client did not send in this form.
 */
export function checkStored(log: ReadLog, stored: Stored, vins: readonly string[]): Findings {
  const examples: string[] = [];
  const counts = { lost: 0, doubled: 0, disordered: 0, unexplained: 0 };
  const complain = (kind: keyof typeof counts, text: string) => {
    counts[kind] += 1;
    if (examples.length < EXAMPLES_MAX) examples.push(`${kind}: ${text}`);
  };
  const envelopes = groupBy(stored.envelopes, placeOf);
  const records = groupBy(stored.records, placeOf);
  const totals = { acknowledged: 0, storedUnacknowledged: 0, replayed: 0 };
  const sent = new Set<string>();
  for (const [lane, sendings] of log.lanes) {
    for (const [sequence, sending] of sendings) {
      const place = `${vins[lane]} ${sequence}`;
      sent.add(place);
      const its = { envelopes: envelopes.get(place) ?? [], records: records.get(place) ?? [] };
      if (sending.receiptId === undefined) totals.storedUnacknowledged += its.records.length > 0 ? 1 : 0;
      else {
        totals.acknowledged += 1;
        totals.replayed += sending.isReplayed ? 1 : 0;
        const fault = findLoss(sending.receiptId, its);
        if (fault !== undefined) complain('lost', `${place} ${fault}`);
      }
      const fault = findDouble(lane, sending, its);
      if (fault !== undefined) complain('doubled', `${place} ${fault}`);
      if (its.envelopes.length > 0 !== its.records.length > 0)
        complain(
          'lost',
          `${place} is stored in part: ${its.envelopes.length} envelopes, ${its.records.length} records`,
        );
    }
  }
  for (const envelope of stored.envelopes) {
    if (!sent.has(placeOf(envelope)) || !envelope.isWhole)
      complain('unexplained', `envelope ${envelope.id} of ${placeOf(envelope)}`);
  }
  for (const [vin, its] of groupBy(stored.records, ({ vin }) => vin)) {
    const inOrder = [...its].sort((one, other) => one.position - other.position);
    for (const [place, record] of inOrder.entries()) {
      const before = inOrder[place - 1];
      if (before !== undefined && before.sequence >= record.sequence)
        complain(
          'disordered',
          `${vin}: ${record.sequence} at ${record.position} comes after ${before.sequence} at ${before.position}`,
        );
    }
  }
  if (stored.queued > 0) complain('lost', `${stored.queued} envelopes never left the intake log`);
  return { ...totals, ...counts, examples };
}

interface Found {
  readonly envelopes: readonly StoredEnvelope[];
  readonly records: readonly StoredRecord[];
}

function findLoss(receiptId: string, its: Found): string | undefined {
  const envelope = its.envelopes.find(({ id }) => id === receiptId);
  if (envelope === undefined) return `was acknowledged as ${receiptId}, but there is no such envelope`;
  if (!envelope.isWhole) return `was acknowledged as ${receiptId}, but its bytes differ`;
  if (envelope.status !== 'processed')
    return `was acknowledged as ${receiptId}, but its receipt says ${envelope.status ?? 'queued'}`;
  return its.records.length === 0 ? `was acknowledged as ${receiptId}, but has no record` : undefined;
}

function findDouble(lane: number, sending: Sending, its: Found): string | undefined {
  const allowed = habitOf(lane) === 'retries-bare' ? sending.attempts : 1;
  if (its.records.length > 1) return `has ${its.records.length} records`;
  if (its.envelopes.length > allowed) return `has ${its.envelopes.length} envelopes after ${sending.attempts} attempts`;
  const twice = its.envelopes.find(({ receipts }) => receipts > 1);
  return twice && `has ${twice.receipts} receipts of envelope ${twice.id}`;
}

const placeOf = ({ vin, sequence }: { vin: string; sequence: number }) => `${vin} ${sequence}`;

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** Tests the checker itself: damages copies of the stored data and returns the damages that `checkStored` does not find. */
export function missedDamages(log: ReadLog, stored: Stored, vins: readonly string[]): string[] {
  const acknowledged = new Set(
    [...log.lanes.values()].flatMap((sendings) => [...sendings.values()].flatMap(({ receiptId }) => receiptId ?? [])),
  );
  const victim = stored.envelopes.find(({ id }) => acknowledged.has(id));
  const record = stored.records.find(({ receiptId }) => receiptId === victim?.id);
  const other = stored.records.find(({ vin, position }) => vin === record?.vin && position !== record.position);
  if (victim === undefined || record === undefined || other === undefined)
    return ['too little was stored to damage it'];
  const damages: Record<string, { kind: 'lost' | 'doubled' | 'disordered'; stored: Stored }> = {
    'a removed envelope': {
      kind: 'lost',
      stored: { ...stored, envelopes: stored.envelopes.filter((one) => one !== victim) },
    },
    'a removed record': {
      kind: 'lost',
      stored: { ...stored, records: stored.records.filter((one) => one !== record) },
    },
    'a changed body': {
      kind: 'lost',
      stored: {
        ...stored,
        envelopes: stored.envelopes.map((one) => (one === victim ? { ...one, isWhole: false } : one)),
      },
    },
    'a doubled record': {
      kind: 'doubled',
      stored: { ...stored, records: [...stored.records, { ...record, position: 1e12 }] },
    },
    'two records in the wrong order': {
      kind: 'disordered',
      stored: {
        ...stored,
        records: stored.records.map((one) => {
          if (one === record) return { ...one, position: other.position };
          return one === other ? { ...one, position: record.position } : one;
        }),
      },
    },
  };
  return Object.entries(damages)
    .filter(([, damage]) => checkStored(log, damage.stored, vins)[damage.kind] === 0)
    .map(([name]) => name);
}
