import type { LeafTarget } from '@gladhand/contract/signal-target.ts';
import type { Static } from 'typebox';
import type { Compilation } from './compilation.ts';
import { type Line, ToldUnitSchema } from './document.ts';
import type { Read } from './expression-use.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import { checkShape } from './schema-errors.ts';
import { type Convert, findConversion, SENML_UNITS } from './unit.ts';

export interface UnitReader {
  /** The paths that the unit itself is read from. */
  readonly reads: readonly Read[];
  /** Converts a raw value to the unit of the target. Throws `Misfit` if it is not a number or its unit is unknown. */
  convert(value: unknown, scope: Record<string, unknown>): unknown;
}

/** Compiles the `unit` of a line. Returns undefined if no conversion is needed, or after adding an error. */
export function compileUnit(
  line: Line,
  target: LeafTarget,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): UnitReader | undefined {
  const { unit } = line;
  if (unit === undefined) return undefined;
  const at = `${pointer}/unit`;
  if (target.unit === undefined) return build.refuse(at, 'unit-unexpected', `${target.path} has no unit`);
  const place: Place = { pointer, expression: line.value ?? '' };
  if (typeof unit === 'string') {
    const found = findConversion(unit, target.unit);
    if (!found.ok) return build.refuse(at, found.code, found.detail);
    const { convert } = found;
    return convert && { reads: [], convert: (value) => convert(numberOf(value, place)) };
  }
  return compileToldUnit(unit, target.unit, at, place, names, build);
}

function compileToldUnit(
  unit: unknown,
  target: string,
  at: string,
  place: Place,
  names: readonly string[],
  build: Compilation,
): UnitReader | undefined {
  const shape = checkShape(ToldUnitSchema, unit, at);
  if (shape.length > 0) {
    const detail = 'expected a UCUM code, or {senml: <CEL of the unit>, untold: <UCUM code if the payload names none>}';
    return build.refuse(at, 'type', detail);
  }
  const { senml: source, untold } = unit as Static<typeof ToldUnitSchema>;
  const expression = build.expression(source, `${at}/senml`, names, ['string', 'null']);
  const assumed = untold === undefined ? undefined : findConversion(untold, target);
  if (assumed?.ok === false) return build.refuse(`${at}/untold`, assumed.code, assumed.detail);
  if (expression === undefined) return undefined;
  const known = senmlConversions(target);
  const unitPlace: Place = { pointer: `${at}/senml`, expression: source };
  const conversionOf = (told: unknown): Convert | undefined => {
    if (told === undefined && assumed?.ok) return assumed.convert ?? asItIs;
    return typeof told === 'string' ? known.get(told) : undefined;
  };
  return {
    reads: expression.reads,
    convert(value, scope) {
      const told = expression.evaluate(scope);
      const convert = conversionOf(told);
      if (convert !== undefined) return convert(numberOf(value, place));
      throw new Misfit('unit-unknown', unitPlace, describe(told), `expected one of ${[...known.keys()].join(', ')}`);
    },
  };
}

const asItIs: Convert = (value) => value;

/** The SenML units that can be converted to `target`, each with its conversion. */
function senmlConversions(target: string): ReadonlyMap<string, Convert> {
  const conversions = new Map<string, Convert>();
  for (const [senml, code] of Object.entries(SENML_UNITS)) {
    const found = findConversion(code, target);
    if (found.ok) conversions.set(senml, found.convert ?? asItIs);
  }
  return conversions;
}

function numberOf(value: unknown, place: Place): number {
  if (typeof value !== 'number') throw new Misfit('wrong-type', place, describe(value), 'expected a number');
  return value;
}
