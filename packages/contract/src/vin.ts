/**
 * Vehicle identification numbers. ISO 3779 defines length and alphabet. The check digit in position 9 is required by law in
 * the United States only (49 CFR 565.15), so a wrong one is reported, not refused.
 */
export type VinResult =
  | { readonly ok: true; readonly vin: string; readonly check: 'pass' | 'fail' }
  | { readonly ok: false; readonly reason: 'length' | 'letters'; readonly detail: string };

export const VIN_PATTERN = '^[A-HJ-NPR-Z0-9]{17}$';

const VIN = new RegExp(VIN_PATTERN);
const VALUES: Readonly<Record<string, number>> = {
  ...Object.fromEntries([...'0123456789'].map((digit) => [digit, Number(digit)])),
  ...Object.fromEntries([...'ABCDEFGH'].map((letter, index) => [letter, index + 1])),
  J: 1,
  K: 2,
  L: 3,
  M: 4,
  N: 5,
  P: 7,
  R: 9,
  ...Object.fromEntries([...'STUVWXYZ'].map((letter, index) => [letter, index + 2])),
};
const WEIGHTS = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];

/** Trims `text`, converts it to upper case and checks it: 17 characters, no I, O, Q. `check` is the result for position 9. */
export function normalizeVin(text: string): VinResult {
  const vin = text.trim().toUpperCase();
  if (vin.length !== 17) {
    return { ok: false, reason: 'length', detail: `a VIN has 17 characters, this has ${vin.length}` };
  }
  if (!VIN.test(vin)) {
    return { ok: false, reason: 'letters', detail: 'a VIN is written with A-Z and 0-9 without I, O and Q' };
  }
  return { ok: true, vin, check: vin[8] === vinCheckDigit(vin) ? 'pass' : 'fail' };
}

/** The check digit that 49 CFR 565.15 requires in position 9 of a well-formed, upper-case VIN: 0-9 or X. */
export function vinCheckDigit(vin: string): string {
  let sum = 0;
  for (let index = 0; index < 17; index += 1) sum += (VALUES[vin[index] ?? ''] ?? 0) * (WEIGHTS[index] ?? 0);
  const remainder = sum % 11;
  return remainder === 10 ? 'X' : String(remainder);
}
