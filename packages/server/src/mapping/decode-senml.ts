import type { DecodeFault } from './decode.ts';
import type { Key, Leaves } from './leaves.ts';
import { describe } from './misfit.ts';
import { readSenmlName } from './senml-name.ts';
import {
  applyBases,
  type Bases,
  BROKEN,
  brokenBases,
  isBroken,
  newBases,
  readSenmlRecord,
  type SenmlRecord,
} from './senml-record.ts';

/**
 * Resolves a SenML pack (RFC 8428) into plain objects for the mapping: one item for each asset or device and time. Base
 * fields (bn, bt, bu, bv, bs) of a record apply to it and to the records after it. Times under 2^28 are relative to
 * `receivedAt` (4.5.3).
 *
 * A record that cannot be read becomes a fault. It never moves another record to another asset or time:
 * - Its readable base fields still apply to the records after it.
 * - If a base field cannot be read, every later record that needs it becomes a fault too.
 *
 * The whole pack is refused if its version is unknown, or if a label ends in "_": such a field must be understood (4.4).
 */
export interface SenmlItem {
  /** The device's URN, or else the base name `bn`. Empty for a vehicle, or if there is neither. */
  readonly name: string;
  /** Set if the name has a vehicle's form (`urn:vin:...`): the text in place of the VIN, not checked yet. */
  readonly vin?: string;
  /** Seconds since the epoch. */
  readonly time: number;
  /** Keyed by signal name: the part of the name after the VIN or the device. */
  readonly values: Record<string, SenmlValue>;
}

export interface SenmlValue {
  /** The value of `v`, `vs`, `vb` or `vd`; a record has at most one of them. */
  v?: number | string | boolean;
  /** Sum (4.5.4). */
  s?: number;
  /** Unit: `u`, or `bu` if the record has no `u`. */
  u?: string;
}

/** The outcome of one record of the pack. `base`: it has base fields and no value. */
export interface SenmlEntry {
  readonly record: unknown;
  readonly outcome:
    | 'base'
    | 'fault'
    | { readonly item: SenmlItem; readonly value: SenmlValue; readonly signal: string };
}

export interface DecodedPack {
  /** Undefined when the whole pack is refused. */
  readonly items: SenmlItem[] | undefined;
  readonly faults: DecodeFault[];
  readonly entries: SenmlEntry[];
  readonly dependsOnArrival: boolean;
}

/** Seconds. A time below this is relative to `receivedAt` (RFC 8428 4.5.3). */
const RELATIVE_BELOW = 2 ** 28;

/** Resolves `pack`, the parsed JSON. Never throws: everything that cannot be read is in `faults`. */
export function decodeSenml(pack: unknown, receivedAtMs: number): DecodedPack {
  if (!Array.isArray(pack)) {
    const fault: DecodeFault = {
      refused: 'payload',
      element: '',
      found: describe(pack),
      detail: 'expected a SenML pack, a list',
    };
    return { items: undefined, faults: [fault], entries: [], dependsOnArrival: false };
  }
  const decoder = new Decoder(receivedAtMs);
  for (const record of pack as unknown[]) if (!decoder.take(record)) return decoder.refused();
  return decoder;
}

class Decoder implements DecodedPack {
  readonly items: SenmlItem[] = [];
  readonly faults: DecodeFault[] = [];
  readonly entries: SenmlEntry[] = [];
  dependsOnArrival = false;
  readonly #receivedAtMs: number;
  #bases: Bases = newBases();
  /** The newest item for each asset or device and time. */
  readonly #open = new Map<string, SenmlItem>();

  constructor(receivedAtMs: number) {
    this.#receivedAtMs = receivedAtMs;
  }

  refused(): DecodedPack {
    return { items: undefined, faults: this.faults.slice(-1), entries: [], dependsOnArrival: false };
  }

  /** Resolves one record. Returns false if the whole pack is refused. */
  take(record: unknown): boolean {
    const read = readSenmlRecord(record);
    if (read.kind === 'refuses-pack') {
      this.#fault(record, read.detail, 'payload');
      return false;
    }
    // First, because the base fields apply to later records even if this record is a fault.
    this.#bases = read.kind === 'none' ? brokenBases() : applyBases(this.#bases, read.bases);
    if (read.kind !== 'record') this.#fault(record, read.detail);
    else this.#resolve(read.record);
    return true;
  }

  #resolve(record: SenmlRecord): void {
    const bases = this.#bases;
    const hasName = record.n !== undefined;
    const value = resolveValue(record, bases);
    if (value === undefined) {
      if (hasName) this.#fault(record, 'expected a value: one of v, vs, vb, vd or s');
      else this.entries.push({ record, outcome: 'base' });
      return;
    }
    const broken = value === BROKEN ? 'bv, bs or bu' : isBroken(bases.name) ? 'bn' : isBroken(bases.time) ? 'bt' : '';
    if (value === BROKEN || isBroken(bases.name) || isBroken(bases.time)) {
      return this.#fault(record, `${broken} of an earlier record applies to this record and could not be read`);
    }
    const { vin, device, signal } = readSenmlName(bases.name, record.n ?? '');
    if (signal === '' || signal === '__proto__') {
      return this.#fault(record, 'expected a name that says what was measured, from `bn`, `n` or both');
    }
    const item = this.#itemOf(device, vin, this.#timeOf(bases.time, record.t), signal);
    item.values[signal] = value;
    this.entries.push({ record, outcome: { item, value, signal } });
  }

  #timeOf(base: number, own: number | undefined): number {
    const time = base + (own ?? 0);
    if (time >= RELATIVE_BELOW) return time;
    this.dependsOnArrival = true;
    return this.#receivedAtMs / 1000 + time;
  }

  /** The item to write `signal` into. If the current item already has it, a new item keeps both values. */
  #itemOf(name: string, vin: string | undefined, time: number, signal: string): SenmlItem {
    const key = vin === undefined ? `${time} device ${name}` : `${time} vehicle ${vin}`;
    const known = this.#open.get(key);
    if (known !== undefined && !Object.hasOwn(known.values, signal)) return known;
    const item: SenmlItem = { name, ...(vin === undefined ? {} : { vin }), time, values: {} };
    this.#open.set(key, item);
    this.items.push(item);
    return item;
  }

  #fault(record: unknown, detail: string, refused: 'element' | 'payload' = 'element'): void {
    this.faults.push({ refused, element: `/${this.entries.length}`, found: describe(record), detail });
    this.entries.push({ record, outcome: 'fault' });
  }
}

/** Undefined if the record has no value: then it only sets base fields. `BROKEN` if it needs an unreadable base field. */
function resolveValue(record: SenmlRecord, bases: Bases): SenmlValue | typeof BROKEN | undefined {
  const value: SenmlValue = {};
  const own = record.vs ?? record.vb ?? record.vd;
  const isNumber = own === undefined && (record.v !== undefined || isBaseValueAlone(record, bases));
  // If only one of value and base value is present, the other counts as zero (4.5.4). Sums follow the same rule.
  if (isNumber) {
    if (isBroken(bases.value)) return BROKEN;
    value.v = (bases.value ?? 0) + (record.v ?? 0);
  } else if (own !== undefined) value.v = own;
  if (record.s !== undefined) {
    if (isBroken(bases.sum)) return BROKEN;
    value.s = (bases.sum ?? 0) + record.s;
  }
  if (value.v === undefined && value.s === undefined) return undefined;
  const unit = record.u ?? bases.unit;
  if (isBroken(unit)) return isNumber || value.s !== undefined ? BROKEN : value;
  if (unit !== undefined) value.u = unit;
  return value;
}

/** A record with a name and without a value or sum has the base value as its value. */
function isBaseValueAlone(record: SenmlRecord, bases: Bases): boolean {
  return record.n !== undefined && record.s === undefined && bases.value !== undefined;
}

/** Labels that resolving a record reads. All other labels count as unused. */
const LABELS: ReadonlySet<Key> = new Set('bn bt bu bv bs bver n u v vs vb vd s t'.split(' '));
const LABELS_BUT_UNIT: ReadonlySet<Key> = new Set([...LABELS].filter((label) => label !== 'u'));

/**
 * Copies the marks that the mapping set on decoded values back to the records of the pack:
 * - A record gets the state of its value.
 * - A record with base fields only is taken.
 * - A fault is rejected.
 * - An unused record is listed under its signal name.
 */
export function accountForPack(pack: readonly unknown[], entries: readonly SenmlEntry[], leaves: Leaves): void {
  for (const [index, { record, outcome }] of entries.entries()) {
    if (outcome === 'fault') leaves.markCell(pack, index, 'rejected');
    if (typeof record !== 'object' || record === null) continue;
    if (outcome === 'fault') leaves.mark(record, LABELS, 'rejected');
    else if (outcome === 'base') leaves.mark(record, LABELS, 'taken');
    else {
      const { item, value, signal } = outcome;
      const state = leaves.stateOf(value, 'v') ?? (leaves.isSkipped(item) ? 'skipped' : undefined);
      if (state === undefined) leaves.name(record, signal);
      else leaves.mark(record, leaves.stateOf(value, 'u') === undefined ? LABELS_BUT_UNIT : LABELS, state);
    }
  }
}
