import type { ReadLog, Sending } from './client-log.ts';
import { habitOf } from './lanes.ts';

/** What the database holds, reduced to what the promise speaks of. */
export interface Stored {
  readonly envelopes: readonly StoredEnvelope[];
  readonly records: readonly StoredRecord[];
  /** Envelopes still between intake and mapping; none after the drain. */
  readonly queued: number;
}

export interface StoredEnvelope {
  readonly id: string;
  readonly vin: string;
  /** Read out of the body. */
  readonly sequence: number;
  /** Whether the body is byte for byte what the client sent. */
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
  /** Never acknowledged, and stored nevertheless: allowed once. */
  readonly storedUnacknowledged: number;
  /** Answered with the receipt of an earlier attempt whose 202 never arrived. */
  readonly replayed: number;
  readonly lost: number;
  readonly doubled: number;
  readonly disordered: number;
  /** In the database, and nobody sent it so. */
  readonly unexplained: number;
  /** The first few, in words. */
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 10;

/**
 * Holds the client's log against the database. Lost: acknowledged, and its envelope, its receipt `processed` or its
 * record is missing or altered. Doubled: more than one record of a payload, more than one receipt of an envelope, or
 * more than one envelope where the lane sent a key or sent once. Disordered: records of a VIN whose positions do not
 * rise with the sequence.
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
        complain('lost', `${place} is half there: ${its.envelopes.length} envelopes, ${its.records.length} records`);
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
  if (envelope === undefined) return `was acknowledged as ${receiptId} and has no such envelope`;
  if (!envelope.isWhole) return `was acknowledged as ${receiptId} and its bytes differ`;
  if (envelope.status !== 'processed')
    return `was acknowledged as ${receiptId} and its receipt says ${envelope.status ?? 'queued'}`;
  return its.records.length === 0 ? `was acknowledged as ${receiptId} and has no record` : undefined;
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

/** A checker that finds nothing must be shown to find something: damaged copies of what is stored, each of which has to be caught. */
export function missedDamages(log: ReadLog, stored: Stored, vins: readonly string[]): string[] {
  const acknowledged = new Set(
    [...log.lanes.values()].flatMap((sendings) => [...sendings.values()].flatMap(({ receiptId }) => receiptId ?? [])),
  );
  const victim = stored.envelopes.find(({ id }) => acknowledged.has(id));
  const record = stored.records.find(({ receiptId }) => receiptId === victim?.id);
  const other = stored.records.find(({ vin, position }) => vin === record?.vin && position !== record.position);
  if (victim === undefined || record === undefined || other === undefined)
    return ['nothing to damage: too little was stored'];
  const damages: Record<string, { kind: 'lost' | 'doubled' | 'disordered'; stored: Stored }> = {
    'an envelope taken away': {
      kind: 'lost',
      stored: { ...stored, envelopes: stored.envelopes.filter((one) => one !== victim) },
    },
    'a record taken away': {
      kind: 'lost',
      stored: { ...stored, records: stored.records.filter((one) => one !== record) },
    },
    'a body altered': {
      kind: 'lost',
      stored: {
        ...stored,
        envelopes: stored.envelopes.map((one) => (one === victim ? { ...one, isWhole: false } : one)),
      },
    },
    'a record twice': {
      kind: 'doubled',
      stored: { ...stored, records: [...stored.records, { ...record, position: 1e12 }] },
    },
    'two records exchanged': {
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
