import { Type } from 'typebox';

/**
 * The kinds of leaf that a signal can be. Every leaf may be null, which means that the device itself said "not available"
 * or "error" (J1939 has a code for each). A leaf that was not reported is left out. Units are UCUM codes in `x-unit`.
 * Identity keys identify the elements of a list, and are never null.
 */
interface Bounds {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
}

/**
 * A measured number. `unit` is a UCUM code ('1' for a pure number). Bounds are in that unit, inclusive. `x-cycle` is the
 * value that means the same as 0. `x-counter` marks a counter, whose value only rises: there, 65535 is a value and not the
 * code for "not available".
 */
export function quantity(
  description: string,
  unit: string,
  bounds: Bounds & { 'x-cycle'?: number; 'x-counter'?: true } = {},
) {
  return Type.Union([Type.Number({ ...bounds, 'x-unit': unit }), Type.Null()], { description, 'x-unit': unit });
}

/** A whole number that is counted or coded, not measured. `x-not-available` is its standard's code for "not available". */
export function whole(description: string, bounds: Bounds & { 'x-not-available'?: number } = {}) {
  return Type.Union([Type.Integer({ minimum: 0, ...bounds }), Type.Null()], { description });
}

export function flag(description: string) {
  return Type.Union([Type.Boolean(), Type.Null()], { description });
}

/** Free text from the device. Text that is too long is refused, not cut. */
export function text(description: string, lengthMax: number, options: { pattern?: string } = {}) {
  return Type.Union([Type.String({ minLength: 1, maxLength: lengthMax, ...options }), Type.Null()], { description });
}

export function oneOf<const Values extends string[]>(description: string, values: readonly [...Values]) {
  return Type.Union([Type.Enum([...values] as [...Values], { type: 'string' }), Type.Null()], { description });
}

/** Identity keys: as above, but never null. */
export function keyWhole(description: string, bounds: Bounds = {}) {
  return Type.Integer({ minimum: 0, ...bounds, description });
}

export function keyText(description: string, pattern: string) {
  return Type.String({ pattern, description });
}

export function keyOneOf<const Values extends string[]>(
  description: string,
  values: readonly [...Values],
  options: { 'x-identity-default'?: Values[number] } = {},
) {
  return Type.Enum([...values] as [...Values], { type: 'string', description, ...options });
}
