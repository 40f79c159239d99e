import type { LeafTarget } from '@gladhand/contract/signal-target.ts';
import { describe, Misfit, type Place } from './misfit.ts';

/** Returns the value as the target stores it. Throws `Misfit`: wrong type, out of bounds, or not an allowed value. */
export type TargetCheck = (value: unknown) => number | string | boolean;

/** Makes the check for `target`. `place` is the mapping line that a `Misfit` names. */
export function createTargetCheck(target: LeafTarget, place: Place): TargetCheck {
  if (target.type === 'boolean') {
    return (value) => (typeof value === 'boolean' ? value : wrongType(value, target, place));
  }
  return target.type === 'string' ? createTextCheck(target, place) : createNumberCheck(target, place);
}

/** Throws `Misfit` for a whole number beyond 2^53: JSON readers change it without an error (RFC 8259 6). */
export function checkKept(value: unknown, place: Place): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return;
  const detail = 'a whole number beyond 2^53 loses digits; send a number from -9007199254740991 to 9007199254740991';
  throw new Misfit('number-too-large', place, describe(value), detail);
}

/** Values whose 16, 32 or 8 bits are all set. */
const WORD_OF_ALL_BITS = 65535;
const LONG_OF_ALL_BITS = 4294967295;
const BYTE_OF_ALL_BITS = 255;

/**
 * Throws `Misfit` for a value with all bits set, which devices send for "not available" (SAE J1939-71 and others). For a
 * measured value it is never a reading. A counter may really be 65535. 255 may be a reading, so `checkByte` handles it. A
 * mapping that knows the format can say so with `notAvailable`; the receipt then has no reject.
 */
export function checkNotAllBits(raw: unknown, target: LeafTarget, place: Place): void {
  const isCoded =
    (raw === WORD_OF_ALL_BITS && target.unit !== undefined && !target.isCounter) ||
    (raw === LONG_OF_ALL_BITS && target.unit !== undefined) ||
    (target.notAvailable !== undefined && raw === target.notAvailable);
  if (isCoded) throw allBitsSet(raw, target, place);
}

/** Checks a value that was converted from `raw`. If it is out of bounds and `raw` is 255, it counts as "not available". */
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
  const detail = `all bits set means that ${target.path} is not available; add notAvailable: [${raw}] to this line of the mapping`;
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
    // An integer target takes the integer part, so that a mapping can write `position / 16`: 17 / 16 is axle 1.
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

/** Throws `Misfit` for text that PostgreSQL cannot store: with NUL or a lone surrogate. */
export function checkStorable(text: string, place: Place): void {
  if (text.includes('\0') || !text.isWellFormed()) {
    throw new Misfit(
      'text-not-storable',
      place,
      describe(text),
      'expected text without NUL and without lone surrogates',
    );
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
