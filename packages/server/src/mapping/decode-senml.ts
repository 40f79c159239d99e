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
 * SenML (RFC 8428): a pack of records whose base fields (bn, bt, bu, bv, bs) carry over to those that follow. Resolved
 * here into one item for each asset or device and time, so that a mapping sees plain objects. Times under 2^28 are relative
 * to `receivedAt` (4.5.3). Promise: a record that cannot be read is told as a fault, and never changes whose or of when
 * another one is: its base fields stand, and where one of them cannot be read, everything that would need it is a fault
 * too. A pack of an unknown version, or with a field that must be understood (a label that ends in "_", 4.4), is refused whole.
 */
export interface SenmlItem {
  /** The device: its URN, or else the base name, `bn`; '' where there is none, and for a vehicle. */
  readonly name: string;
  /** Set where the name claims to name a vehicle (`urn:vin:...`): its VIN, or what stands in its place. */
  readonly vin?: string;
  /** Seconds since the epoch. */
  readonly time: number;
  /** By the name of the signal: what stands after the VIN, or after the device. */
  readonly values: Record<string, SenmlValue>;
}

export interface SenmlValue {
  /** `v`, `vs`, `vb` or `vd`, whichever the record has. */
  v?: number | string | boolean;
  /** Sum (4.5.4). */
  s?: number;
  /** Unit, `bu` where the record has none of its own. */
  u?: string;
}

/** What became of one record of the pack. */
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

const RELATIVE_BELOW = 2 ** 28;

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
  /** The item that is being filled, by what it is about. */
  readonly #open = new Map<string, SenmlItem>();

  constructor(receivedAtMs: number) {
    this.#receivedAtMs = receivedAtMs;
  }

  refused(): DecodedPack {
    return { items: undefined, faults: this.faults.slice(-1), entries: [], dependsOnArrival: false };
  }

  /** False when the whole pack is refused. */
  take(record: unknown): boolean {
    const read = readSenmlRecord(record);
    if (read.kind === 'refuses-pack') {
      this.#fault(record, read.detail, 'payload');
      return false;
    }
    // First of all: the records that follow are about these, whatever is wrong with this one.
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
      if (hasName) this.#fault(record, 'expected a value: one of v, vs, vb, vd and s');
      else this.entries.push({ record, outcome: 'base' });
      return;
    }
    const broken = value === BROKEN ? 'bv, bs or bu' : isBroken(bases.name) ? 'bn' : isBroken(bases.time) ? 'bt' : '';
    if (value === BROKEN || isBroken(bases.name) || isBroken(bases.time)) {
      return this.#fault(record, `${broken} of an earlier record, which counts for this one, could not be read`);
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

  /** The same signal twice at one instant: both stay, in items of their own. */
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

/** Undefined where the record has no value: then it is there for its base fields alone. */
function resolveValue(record: SenmlRecord, bases: Bases): SenmlValue | typeof BROKEN | undefined {
  const value: SenmlValue = {};
  const own = record.vs ?? record.vb ?? record.vd;
  const isNumber = own === undefined && (record.v !== undefined || isBaseValueAlone(record, bases));
  // Where only one of value and base value is there, the other is zero (4.5.4). The same goes for sums.
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

/** A record that names what was measured and has no value of its own has the base value. */
function isBaseValueAlone(record: SenmlRecord, bases: Bases): boolean {
  return record.n !== undefined && record.s === undefined && bases.value !== undefined;
}

/** Labels that were read to resolve a record; any other one is not used. */
const LABELS: ReadonlySet<Key> = new Set('bn bt bu bv bs bver n u v vs vb vd s t'.split(' '));
const LABELS_BUT_UNIT: ReadonlySet<Key> = new Set([...LABELS].filter((label) => label !== 'u'));

/**
 * Carries what the mapping marked over to the pack: a record shares the fate of its value, a record of base fields is
 * taken, one that could not be read is rejected. Unused records are called by their signal.
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
