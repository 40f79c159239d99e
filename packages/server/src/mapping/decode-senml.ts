import { describe } from './misfit.ts';

/**
 * SenML (RFC 8428): a pack of records whose base fields (bn, bt, bu, bv, bs) carry over to those that follow. Resolved
 * here into one item for each base name and time, so that a mapping sees plain objects. Times under 2^28 are relative
 * to `receivedAt` (4.5.3). An entry that cannot be resolved is told as a fault and its siblings go on; a pack of an
 * unknown version, or with a field that must be understood (a label that ends in "_", 4.4), is refused whole.
 */
export interface SenmlItem {
  /** The base name, `bn`: usually the device. */
  readonly name: string;
  /** Seconds since the epoch. */
  readonly time: number;
  /** By `n`, the name below the base name. */
  readonly values: Record<string, SenmlValue>;
}

export interface SenmlValue {
  v?: number;
  vs?: string;
  vb?: boolean;
  vd?: string;
  /** Sum (4.5.1). */
  s?: number;
  /** Unit, `bu` where the record has none of its own. */
  u?: string;
}

export interface SenmlFault {
  /** JSON Pointer into the pack. */
  readonly element: string;
  readonly found: string;
  readonly detail: string;
}

const RELATIVE_BELOW = 2 ** 28;
const VERSION_MAX = 10;
const TYPES: Readonly<Record<string, string>> = {
  bn: 'string',
  bt: 'number',
  bu: 'string',
  bv: 'number',
  bs: 'number',
  bver: 'number',
  n: 'string',
  u: 'string',
  v: 'number',
  vs: 'string',
  vb: 'boolean',
  vd: 'string',
  s: 'number',
  t: 'number',
  ut: 'number',
};

interface SenmlRecord {
  bn?: string;
  bt?: number;
  bu?: string;
  bv?: number;
  bs?: number;
  bver?: number;
  n?: string;
  u?: string;
  v?: number;
  vs?: string;
  vb?: boolean;
  vd?: string;
  s?: number;
  t?: number;
}

/** Resolves a pack; `items` is undefined when the whole pack is refused. */
export function decodeSenml(
  pack: unknown,
  receivedAtMs: number,
): { items: SenmlItem[] | undefined; faults: SenmlFault[] } {
  if (!Array.isArray(pack))
    return {
      items: undefined,
      faults: [{ element: '', found: describe(pack), detail: 'expected a SenML pack, a list' }],
    };
  const faults: SenmlFault[] = [];
  const items: SenmlItem[] = [];
  const open = new Map<string, SenmlItem>();
  const base = { name: '', time: 0, unit: undefined as string | undefined, value: 0, sum: 0 };
  for (let index = 0; index < pack.length; index += 1) {
    const element = `/${index}`;
    const problem = findProblem(pack[index]);
    if (problem !== undefined) {
      faults.push({ element, found: describe(pack[index]), detail: problem.detail });
      if (problem.whole) return { items: undefined, faults };
      continue;
    }
    const record = pack[index] as SenmlRecord;
    base.name = record.bn ?? base.name;
    base.time = record.bt ?? base.time;
    base.unit = record.bu ?? base.unit;
    base.value = record.bv ?? base.value;
    base.sum = record.bs ?? base.sum;
    const value = resolveValue(record, base);
    if (value === undefined) continue;
    const name = record.n ?? '';
    if (base.name + name === '' || name === '__proto__') {
      faults.push({ element, found: describe(record), detail: 'expected a name, from `bn`, `n` or both' });
      continue;
    }
    const sum = base.time + (record.t ?? 0);
    const time = sum < RELATIVE_BELOW ? receivedAtMs / 1000 + sum : sum;
    const key = `${time} ${base.name}`;
    let item = open.get(key);
    // The same name twice at one instant: both stay, in items of their own.
    if (item === undefined || Object.hasOwn(item.values, name)) {
      item = { name: base.name, time, values: {} };
      open.set(key, item);
      items.push(item);
    }
    item.values[name] = value;
  }
  return { items, faults };
}

function findProblem(record: unknown): { detail: string; whole: boolean } | undefined {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    return { detail: 'expected a SenML record, an object', whole: false };
  }
  for (const [label, value] of Object.entries(record)) {
    if (label.endsWith('_')) return { detail: `the field ${label} must be understood, and is not`, whole: true };
    const type = TYPES[label];
    if (type !== undefined && typeof value !== type)
      return { detail: `expected ${label} to be a ${type}`, whole: false };
    if (label === 'bver' && value > VERSION_MAX)
      return { detail: `expected SenML version ${VERSION_MAX} at most`, whole: true };
  }
  return undefined;
}

function resolveValue(
  record: SenmlRecord,
  base: { unit: string | undefined; value: number; sum: number },
): SenmlValue | undefined {
  const value: SenmlValue = {};
  if (record.v !== undefined) value.v = base.value + record.v;
  if (record.vs !== undefined) value.vs = record.vs;
  if (record.vb !== undefined) value.vb = record.vb;
  if (record.vd !== undefined) value.vd = record.vd;
  if (record.s !== undefined) value.s = base.sum + record.s;
  if (Object.keys(value).length === 0) return undefined;
  const unit = record.u ?? base.unit;
  if (unit !== undefined) value.u = unit;
  return value;
}
