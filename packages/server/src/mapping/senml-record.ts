import { describe } from './misfit.ts';

/** One record of a SenML pack (RFC 8428 4), its fields checked, apart from the base fields that later ones share. */
export interface SenmlRecord {
  readonly n?: string;
  readonly u?: string;
  readonly v?: number;
  readonly vs?: string;
  readonly vb?: boolean;
  readonly vd?: string;
  readonly s?: number;
  readonly t?: number;
}

/** A base field that was sent and cannot be read: nobody knows what the records after it are about. */
export const BROKEN = Symbol('a base field that could not be read');
export type Broken = typeof BROKEN;

export interface Bases {
  readonly name: string | Broken;
  readonly time: number | Broken;
  readonly unit: string | Broken | undefined;
  readonly value: number | Broken | undefined;
  readonly sum: number | Broken | undefined;
}

export type ReadRecord =
  | { readonly kind: 'record'; readonly record: SenmlRecord; readonly bases: Partial<Bases> }
  /** A field is wrong: the record is refused, and its base fields stand. */
  | { readonly kind: 'misfit'; readonly detail: string; readonly bases: Partial<Bases> }
  /** Not a record at all: it may have had any base field. */
  | { readonly kind: 'none'; readonly detail: string }
  /** It must be understood and is not. */
  | { readonly kind: 'refuses-pack'; readonly detail: string };

const VERSION_MAX = 10;
const TYPES: Readonly<Record<string, string>> = {
  bver: 'number',
  ut: 'number',
  n: 'string',
  u: 'string',
  v: 'number',
  vs: 'string',
  vb: 'boolean',
  vd: 'string',
  s: 'number',
  t: 'number',
};
const BASE_TYPES: Readonly<Record<string, { readonly field: keyof Bases; readonly type: string }>> = {
  bn: { field: 'name', type: 'string' },
  bt: { field: 'time', type: 'number' },
  bu: { field: 'unit', type: 'string' },
  bv: { field: 'value', type: 'number' },
  bs: { field: 'sum', type: 'number' },
};
const VALUES = ['v', 'vs', 'vb', 'vd'];

export function newBases(): Bases {
  return { name: '', time: 0, unit: undefined, value: undefined, sum: undefined };
}

export function brokenBases(): Bases {
  return { name: BROKEN, time: BROKEN, unit: BROKEN, value: BROKEN, sum: BROKEN };
}

export function applyBases(bases: Bases, own: Partial<Bases>): Bases {
  return { ...bases, ...own };
}

export function isBroken(base: unknown): base is Broken {
  return base === BROKEN;
}

export function readSenmlRecord(record: unknown): ReadRecord {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    return { kind: 'none', detail: 'expected a SenML record, an object' };
  }
  const fields = record as Record<string, unknown>;
  const unknown = Object.keys(fields).find((label) => label.endsWith('_'));
  if (unknown !== undefined)
    return { kind: 'refuses-pack', detail: `the field ${unknown} must be understood, and is not` };
  if (!Object.keys(fields).some((label) => label in TYPES || label in BASE_TYPES))
    return { kind: 'none', detail: 'expected a SenML record, an object with its labels' };
  if ((fields['bver'] as number) > VERSION_MAX)
    return { kind: 'refuses-pack', detail: `expected SenML version ${VERSION_MAX} at most` };
  const { bases, problem } = readBases(fields);
  const detail = problem ?? findProblem(fields);
  return detail === undefined ? { kind: 'record', record: fields, bases } : { kind: 'misfit', detail, bases };
}

function readBases(fields: Record<string, unknown>): { bases: Partial<Bases>; problem: string | undefined } {
  const bases: Record<string, unknown> = {};
  let problem: string | undefined;
  for (const [label, { field, type }] of Object.entries(BASE_TYPES)) {
    if (!Object.hasOwn(fields, label)) continue;
    const value = fields[label];
    // An empty base name would hand the records after it to nobody in particular.
    const isRight = typeof value === type && (typeof value !== 'string' || value.trim() !== '');
    bases[field] = isRight ? value : BROKEN;
    if (!isRight)
      problem ??= `expected ${label} to be a ${type}${type === 'string' ? ', not empty' : ''}, found ${describe(value)}`;
  }
  return { bases, problem };
}

function findProblem(fields: Record<string, unknown>): string | undefined {
  for (const [label, type] of Object.entries(TYPES)) {
    if (Object.hasOwn(fields, label) && typeof fields[label] !== type)
      return `expected ${label} to be a ${type}, found ${describe(fields[label])}`;
  }
  const values = VALUES.filter((label) => Object.hasOwn(fields, label));
  return values.length > 1 ? `expected one value, found ${values.join(' and ')}` : undefined;
}
