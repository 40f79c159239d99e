import { LINE_PATTERN } from '@gladhand/contract/display-name.ts';
import { describe, Misfit } from './misfit.ts';
import type { Scope } from './path.ts';
import type { DevicePlan } from './record-plan.ts';
import { checkKept, checkStorable } from './target-check.ts';

export const DEVICE_ID_CHARS_MAX = 200;

const LINE = new RegExp(LINE_PATTERN, 'u');

/**
 * Reads the partner's id of a device: one line of text. It is trimmed, as a VIN is: otherwise a newline at the end would
 * make a second device that looks like the first. A whole number is accepted as text if a double holds it exactly.
 * Returns undefined if the payload names no device. Throws `Misfit` for any other value.
 */
export function readDeviceId(plan: DevicePlan, scope: Scope): string | undefined {
  const value = plan.externalId.evaluate(scope) ?? undefined;
  if (value === undefined) return undefined;
  checkKept(value, plan.place);
  const detail = `expected a device id: one line of 1 to ${DEVICE_ID_CHARS_MAX} characters, or a whole number from -2^53 to 2^53`;
  const isExact = typeof value === 'number' && Number.isSafeInteger(value);
  if (typeof value !== 'string' && !isExact) throw new Misfit('wrong-type', plan.place, describe(value), detail);
  const id = String(value).trim();
  checkStorable(id, plan.place);
  if (id.length > DEVICE_ID_CHARS_MAX || !LINE.test(id))
    throw new Misfit('wrong-type', plan.place, describe(value), detail);
  return id;
}
