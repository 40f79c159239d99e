import type { LeafTarget } from '@gladhand/contract/signal-target.ts';
import { describe, Misfit, type Place } from './misfit.ts';

/** Gives back the value as the target stores it, or throws `Misfit`: wrong type, out of bounds, not an allowed value. */
export type TargetCheck = (value: unknown) => number | string | boolean;

/** A check for `target`; `place` is the line of the mapping that is blamed. */
export function createTargetCheck(target: LeafTarget, place: Place): TargetCheck {
  if (target.type === 'boolean') {
    return (value) => (typeof value === 'boolean' ? value : wrongType(value, target, place));
  }
  return target.type === 'string' ? createTextCheck(target, place) : createNumberCheck(target, place);
}

/** RFC 8259 6: beyond 2^53 a whole number is read as another one, without a sign of it. */
export function checkKept(value: unknown, place: Place): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return;
  const detail = 'a whole number beyond 2^53 is not kept exactly; send it within +-9007199254740991';
  throw new Misfit('number-too-large', place, describe(value), detail);
}

/** 16 and 32 bits, all set. */
const WORD_OF_ALL_BITS = 65535;
const LONG_OF_ALL_BITS = 4294967295;
const BYTE_OF_ALL_BITS = 255;

/**
 * Devices send a coded value of all bits set for "not available" (SAE J1939-71 and others). For what is measured it is
 * never a reading; a counter may well stand at 65535. 255 may be a reading, so it counts only where it is out of bounds.
 * A mapping that knows its format says so with `notAvailable`, which leaves no trace in the receipt.
 */
export function checkNotAllBits(raw: unknown, target: LeafTarget, place: Place): void {
  const isCoded =
    (raw === WORD_OF_ALL_BITS && target.unit !== undefined && !target.isCounter) ||
    (raw === LONG_OF_ALL_BITS && target.unit !== undefined) ||
    (target.notAvailable !== undefined && raw === target.notAvailable);
  if (isCoded) throw allBitsSet(raw, target, place);
}

/** The check of a value that came from `raw`: a byte of all bits set explains why it is out of bounds. */
export function checkByte(check: TargetCheck, value: unknown, raw: unknown, target: LeafTarget, place: Place) {
  try {
    return check(value);
  } catch (error) {
    if (raw === BYTE_OF_ALL_BITS && error instanceof Misfit && error.code === 'out-of-bounds')
      throw allBitsSet(raw, target, place);
    throw error;
  }
}

function allBitsSet(raw: unknown, target: LeafTarget, place: Place): Misfit {
  const detail = `all bits set means that ${target.path} is not available; say so with notAvailable: [${raw}] in the mapping`;
  return new Misfit('all-bits-set', place, describe(raw), detail);
}

function createNumberCheck(target: LeafTarget, place: Place): TargetCheck {
  const minimum = target.minimum ?? Number.NEGATIVE_INFINITY;
  const maximum = target.maximum ?? Number.POSITIVE_INFINITY;
  const below = target.exclusiveMaximum ?? Number.POSITIVE_INFINITY;
  const { cycle } = target;
  const whole = target.type === 'integer';
  return (value) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return wrongType(value, target, place);
    // A whole-number target takes the whole part: position 17 / 16 is axle 1.
    const number = value === cycle ? 0 : whole ? Math.trunc(value) : value;
    if (number >= minimum && number <= maximum && number < below) return number;
    throw new Misfit('out-of-bounds', place, describe(value), `${target.path} is ${boundsText(target)}`);
  };
}

function createTextCheck(target: LeafTarget, place: Place): TargetCheck {
  const allowed = target.values === undefined ? undefined : new Set<unknown>(target.values);
  const pattern = target.pattern === undefined ? undefined : new RegExp(target.pattern, 'u');
  const lengthMax = target.lengthMax ?? 4096;
  return (value) => {
    if (allowed !== undefined) {
      if (allowed.has(value)) return value as string;
      throw new Misfit(
        'value-not-allowed',
        place,
        describe(value),
        `${target.path} is one of ${[...allowed].join(', ')}`,
      );
    }
    if (typeof value !== 'string') return wrongType(value, target, place);
    checkStorable(value, place);
    if (value.length > 0 && value.length <= lengthMax && (pattern === undefined || pattern.test(value))) return value;
    const form = pattern === undefined ? `1 to ${lengthMax} characters` : `text like ${target.pattern}`;
    throw new Misfit('value-not-allowed', place, describe(value), `${target.path} is ${form}`);
  };
}

/** PostgreSQL stores neither NUL nor half of a surrogate pair. */
export function checkStorable(text: string, place: Place): void {
  if (text.includes('\0') || !text.isWellFormed()) {
    throw new Misfit('text-not-storable', place, describe(text), 'text has neither NUL nor lone surrogates');
  }
}

function wrongType(value: unknown, target: LeafTarget, place: Place): never {
  const wanted = { number: 'a number', integer: 'a whole number', string: 'text', boolean: 'true or false' }[
    target.type
  ];
  throw new Misfit('wrong-type', place, describe(value), `expected ${wanted} for ${target.path}`);
}

function boundsText(target: LeafTarget): string {
  const { minimum, maximum, exclusiveMaximum, unit = '' } = target;
  const upper = exclusiveMaximum === undefined ? maximum : `below ${exclusiveMaximum}`;
  if (minimum === undefined) return `at most ${upper} ${unit}`.trim();
  return `${upper === undefined ? `at least ${minimum}` : `${minimum} to ${upper}`} ${unit}`.trim();
}
