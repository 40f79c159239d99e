import type { LeafTarget } from '@gladhand/contract/signal-target.ts';
import type { Compilation } from './compilation.ts';
import { compileUnit, type UnitReader } from './compile-unit.ts';
import { type Line as LineDocument, LineSchema } from './document.ts';
import type { Expression } from './expression.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import { createReadPlan, isAnyPresent } from './read-plan.ts';
import { checkShape, pointerStep } from './schema-errors.ts';
import { DEVICE_ERROR, type LeafReader, type Line, NOT_AVAILABLE } from './signal-node.ts';
import { checkByte, checkKept, checkNotAllBits, createTargetCheck, type TargetCheck } from './target-check.ts';

/**
 * Compiles one signal line. At run time its value passes these steps in order: expression, `notAvailable` and `error`,
 * `default`, `values`, `unit`, then the target's type and bounds. Returns undefined after adding an error.
 */
export function compileLeaf(
  raw: unknown,
  target: LeafTarget,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): Line | undefined {
  if (typeof raw !== 'string' && !(typeof raw === 'object' && raw !== null && !Array.isArray(raw))) {
    return build.refuse(pointer, 'type', `expected a CEL expression for ${target.path}, or an object with options`);
  }
  const line: LineDocument = typeof raw === 'string' ? { value: raw } : (raw as LineDocument);
  const shape = typeof raw === 'string' ? [] : checkShape(LineSchema, raw, pointer);
  if (shape.length > 0) {
    build.errors.push(...shape);
    return undefined;
  }
  if (line.literal !== undefined) return compileLiteral(line, target, pointer, build);
  if (line.value === undefined) return build.refuse(`${pointer}/value`, 'required', 'is required (or `literal`)');
  return compileValue(
    line,
    line.value,
    typeof raw === 'string' ? pointer : `${pointer}/value`,
    target,
    pointer,
    names,
    build,
  );
}

function compileLiteral(line: LineDocument, target: LeafTarget, pointer: string, build: Compilation): Line | undefined {
  if (Object.keys(line).length > 1) return build.refuse(pointer, 'unexpected', '`literal` stands alone');
  const check = createTargetCheck(target, { pointer, expression: '' });
  if (!accepts(check, line.literal, `${pointer}/literal`, 'literal-invalid', build)) return undefined;
  const value = check(line.literal);
  return { read: () => value, constant: true, literal: value, reads: [], plan: createReadPlan([]), mayLeaveOut: false };
}

function compileValue(
  line: LineDocument,
  source: string,
  sourcePointer: string,
  target: LeafTarget,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): Line | undefined {
  const before = build.errors.length;
  const expression = build.expression(
    source,
    sourcePointer,
    names,
    line.values === undefined ? TYPES[target.type] : SCALARS,
  );
  const place: Place = { pointer, expression: source };
  const check = createTargetCheck(target, place);
  const table = compileTable(line, check, pointer, build);
  const unit = compileUnit(line, target, pointer, names, build);
  const states = compileStates(line, target, pointer, build);
  const finish = compose(check, table, unit, target, place);

  compileDefault(line, target, finish, pointer, build);
  if (expression === undefined || build.errors.length > before) return undefined;
  const reads = build.readsOfPayload(expression, unit?.reads ?? []);
  const isSure = expression.path !== undefined || expression.strict;
  return {
    read: createReader(expression, states, line.default, finish),
    constant: reads.length === 0,
    reads,
    plan: createReadPlan(reads),
    mayLeaveOut: !isSure || table?.leavesOut === true,
    ...(isSure && line.default === undefined ? {} : { isPresent: (scope) => isAnyPresent(reads, scope) }),
  };
}

/** Only an identity key may have a default. A default for a measured value would be a reading that was never made. */
function compileDefault(
  line: LineDocument,
  target: LeafTarget,
  finish: Finish,
  pointer: string,
  build: Compilation,
): void {
  if (line.default === undefined || line.default === null) return;
  const at = `${pointer}/default`;
  if (target.identity) {
    accepts((value) => finish(value, {}), line.default, at, 'default-invalid', build);
    return;
  }
  const detail = `a missing value is not a reading of ${target.path}: remove the default, and the signal is left out`;
  build.refuse(at, 'default-refused', detail);
}

type Finish = (value: unknown, scope: Record<string, unknown>) => ReturnType<LeafReader>;

function compose(
  check: TargetCheck,
  table: ReadonlyTable | undefined,
  unit: UnitReader | undefined,
  target: LeafTarget,
  place: Place,
): Finish {
  if (table !== undefined) {
    return (value) => {
      if (typeof value === 'object')
        throw new Misfit('wrong-type', place, describe(value), 'expected text, a number or a bool');
      const mapped = table.entries.get(String(value));
      if (mapped !== undefined) return mapped ?? undefined;
      if (table.otherwise !== undefined) return table.otherwise ?? undefined;
      const known = [...table.entries.keys()].slice(0, 10).join(', ');
      throw new Misfit('value-not-in-table', place, describe(value), `expected one of ${known}`);
    };
  }
  if (target.type === 'string' || target.type === 'boolean') return check;
  return (value, scope) => {
    checkKept(value, place);
    checkNotAllBits(value, target, place);
    return checkByte(check, unit === undefined ? value : unit.convert(value, scope), value, target, place);
  };
}

function createReader(
  expression: Expression,
  states: ReadonlyMap<unknown, typeof NOT_AVAILABLE> | undefined,
  fallback: unknown,
  finish: Finish,
): LeafReader {
  const { evaluate } = expression;
  if (states === undefined && fallback === undefined) {
    return (scope) => {
      const value = evaluate(scope);
      return value === undefined || value === null ? undefined : finish(value, scope);
    };
  }
  return (scope) => {
    const value = evaluate(scope);
    const state = value === undefined ? undefined : states?.get(value);
    if (state !== undefined) return state;
    const present = value ?? fallback;
    return present === undefined || present === null ? undefined : finish(present, scope);
  };
}

interface ReadonlyTable {
  /** Keyed by the partner's value as text. null leaves the signal out. */
  readonly entries: ReadonlyMap<string, number | string | boolean | null>;
  readonly otherwise: number | string | boolean | null | undefined;
  readonly leavesOut: boolean;
}

function compileTable(
  line: LineDocument,
  check: TargetCheck,
  pointer: string,
  build: Compilation,
): ReadonlyTable | undefined {
  if (line.values === undefined) {
    if (line.otherwise !== undefined)
      build.refuse(`${pointer}/otherwise`, 'unexpected', 'is only allowed together with `values`');
    return undefined;
  }
  if (line.unit !== undefined)
    build.refuse(`${pointer}/unit`, 'unexpected', 'a value from a table has the unit of its target');
  const entries = new Map<string, number | string | boolean | null>();
  const put = (raw: unknown, at: string) => {
    if (raw === null) return null;
    return accepts(check, raw, at, 'values-invalid', build) ? check(raw) : null;
  };
  for (const [from, to] of Object.entries(line.values))
    entries.set(from, put(to, `${pointer}/values${pointerStep(from)}`));
  const otherwise = line.otherwise === undefined ? undefined : put(line.otherwise, `${pointer}/otherwise`);
  return { entries, otherwise, leavesOut: otherwise === null || [...entries.values()].includes(null) };
}

function compileStates(
  line: LineDocument,
  target: LeafTarget,
  pointer: string,
  build: Compilation,
): Map<unknown, typeof NOT_AVAILABLE> | undefined {
  const states = new Map<unknown, typeof NOT_AVAILABLE>();
  for (const [option, state] of [
    ['notAvailable', NOT_AVAILABLE],
    ['error', DEVICE_ERROR],
  ] as const) {
    if (line[option] === undefined) continue;
    if (target.identity)
      build.refuse(`${pointer}/${option}`, 'unexpected', `${target.path} identifies an element: it is never null`);
    line[option].forEach((value, index) => {
      const at = `${pointer}/${option}/${index}`;
      if (typeof value === 'object' && value !== null)
        build.refuse(at, 'type', 'expected text, a number, a bool or null');
      else if (states.has(value))
        build.refuse(at, 'assigned-twice', `${describe(value)} already means ${states.get(value)?.state}`);
      else states.set(value, state);
    });
  }
  return states.size === 0 ? undefined : states;
}

/** Checks a constant of the document. Turns a `Misfit` into a compile error at `at` and returns false. */
function accepts(
  check: (value: unknown) => unknown,
  value: unknown,
  at: string,
  code: string,
  build: Compilation,
): boolean {
  try {
    check(value);
    return true;
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    build.refuse(at, code, `${error.message}, found ${error.found}`);
    return false;
  }
}

const NUMBERS = ['int', 'uint', 'double'];
const SCALARS = [...NUMBERS, 'string', 'bool', 'null'];
const TYPES: Readonly<Record<LeafTarget['type'], readonly string[]>> = {
  number: [...NUMBERS, 'null'],
  integer: [...NUMBERS, 'null'],
  string: ['string', 'null'],
  boolean: ['bool', 'null'],
};
