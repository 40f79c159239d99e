import { randomBytes, randomInt } from 'node:crypto';
import { vinCheckDigit } from '@gladhand/contract/vin.ts';

/** The characters of a VIN. */
const VIN_LETTERS = 'ABCDEFGHJKLMNPRSTUVWXYZ0123456789';

/** A random VIN with a valid check digit (49 CFR 565.15). */
export function freshVin(): string {
  const draft = `1ZZ${Array.from({ length: 14 }, () => VIN_LETTERS[randomInt(VIN_LETTERS.length)]).join('')}`;
  return draft.slice(0, 8) + vinCheckDigit(draft) + draft.slice(9);
}

export function freshWord(): string {
  return `w${randomBytes(6).toString('hex')}`;
}

export type Form = 'uuid' | 'vin' | 'email' | 'cursor' | 'name';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const VIN = /^[A-HJ-NPR-Z0-9]{17}$/i;

export function formOf(value: string): Form {
  if (UUID.test(value)) return 'uuid';
  if (VIN.test(value)) return 'vin';
  return value.includes('@') ? 'email' : value.length > 40 ? 'cursor' : 'name';
}

/**
 * A value of the same form that does not exist. A UUID keeps its first 48 bits: they are its creation time, which decides
 * where the server looks for it. A cursor keeps its version.
 */
export function nonexistentLike(value: string): string {
  switch (formOf(value)) {
    case 'uuid': {
      const random = randomBytes(9).toString('hex');
      return `${value.slice(0, 15)}${random.slice(0, 3)}-a${random.slice(3, 6)}-${random.slice(6)}`;
    }
    case 'vin':
      return freshVin();
    case 'email':
      return freshWord().padEnd(Math.max(13, value.indexOf('@')), 'x') + value.slice(value.indexOf('@'));
    case 'cursor': {
      const bytes = Buffer.from(value, 'base64url');
      return Buffer.concat([bytes.subarray(0, 1), randomBytes(bytes.length - 1)]).toString('base64url');
    }
    case 'name':
      // Signs, and letters that a VIN cannot have, stay in place, so that both values are refused at the same check.
      return value.replace(/[a-hj-npr-z0-9]/gi, () => randomInt(16).toString(16));
  }
}

/** A random client address in 10.0.0.0/8. */
export function freshAddress(): string {
  return `10.${randomInt(256)}.${randomInt(256)}.${1 + randomInt(254)}`;
}
