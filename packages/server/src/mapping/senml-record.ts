import { describe } from './misfit.ts';

/** A SenML record (RFC 8428 4) with checked fields, without its base fields. */
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

/** Stands for a base field that was sent and cannot be read. Records that need it cannot be resolved. */
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
  /** A field is wrong. The record is rejected, and its base fields still apply. */
  | { readonly kind: 'misfit'; readonly detail: string; readonly bases: Partial<Bases> }
  /** Not a SenML record. It may have been meant to set any base field, so all base fields become unreadable. */
  | { readonly kind: 'none'; readonly detail: string }
  /** Has an unknown version, or an unknown field that must be understood (RFC 8428 4.4). */
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
    return { kind: 'none', detail: 'expected a SenML record: an object' };
  }
  const fields = record as Record<string, unknown>;
  const unknown = Object.keys(fields).find((label) => label.endsWith('_'));
  if (unknown !== undefined)
    return {
      kind: 'refuses-pack',
      detail: `the field ${unknown} must be understood (it ends in "_") and is unknown: leave it out`,
    };
  if (!Object.keys(fields).some((label) => label in TYPES || label in BASE_TYPES))
    return { kind: 'none', detail: 'expected a SenML record: an object with at least one label of RFC 8428' };
  if ((fields['bver'] as number) > VERSION_MAX)
    return { kind: 'refuses-pack', detail: `expected bver, the SenML version, to be at most ${VERSION_MAX}` };
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
    // An empty text is wrong: with an empty base name, the records after it would have no asset or device.
    const isRight = typeof value === type && (typeof value !== 'string' || value.trim() !== '');
    bases[field] = isRight ? value : BROKEN;
    if (!isRight)
      problem ??= `expected ${label} to be a ${type}${type === 'string' ? ' that is not empty' : ''}, found ${describe(value)}`;
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
