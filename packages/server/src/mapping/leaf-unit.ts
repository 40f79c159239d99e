import type { LeafTarget } from '@gladhand/contract/signal-target.ts';
import type { Build } from './build.ts';
import type { Line } from './document.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import { type Convert, findConversion, SENML_UNITS } from './unit.ts';

/** Brings a raw value to the unit of its target. Throws `Misfit` when it is not a number or its unit is not known. */
export type UnitReader = (value: unknown, scope: Record<string, unknown>) => unknown;

/** The conversion a line asks for; undefined when there is none to do. */
export function compileUnit(
  line: Line,
  target: LeafTarget,
  pointer: string,
  names: readonly string[],
  build: Build,
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
    return convert === undefined ? undefined : (value) => convert(numberOf(value, place));
  }
  const source = senmlSource(unit);
  if (source === undefined) {
    return build.refuse(at, 'type', 'expected a UCUM code, or {senml: <CEL expression of the unit>}');
  }
  const expression = build.expression(source, `${at}/senml`, names, ['string', 'null']);
  if (expression === undefined) return undefined;
  const known = senmlConversions(target.unit);
  const unitPlace: Place = { pointer: `${at}/senml`, expression: source };
  return (value, scope) => {
    const told = expression.evaluate(scope);
    const convert = typeof told === 'string' ? known.get(told) : undefined;
    if (convert === undefined) {
      throw new Misfit('unit-unknown', unitPlace, describe(told), `expected one of ${[...known.keys()].join(', ')}`);
    }
    return convert(numberOf(value, place));
  };
}

function senmlSource(unit: unknown): string | undefined {
  if (typeof unit !== 'object' || unit === null || Object.keys(unit).join() !== 'senml') return undefined;
  const { senml } = unit as { senml: unknown };
  return typeof senml === 'string' ? senml : undefined;
}

/** The SenML units that have the dimension of `target`, each with its conversion. */
function senmlConversions(target: string): ReadonlyMap<string, Convert> {
  const conversions = new Map<string, Convert>();
  for (const [senml, code] of Object.entries(SENML_UNITS)) {
    const found = findConversion(code, target);
    if (found.ok) conversions.set(senml, found.convert ?? ((value) => value));
  }
  return conversions;
}

function numberOf(value: unknown, place: Place): number {
  if (typeof value !== 'number') throw new Misfit('wrong-type', place, describe(value), 'expected a number');
  return value;
}
