import { LINE_PATTERN } from '@gladhand/contract/display-name.ts';
import { describe, Misfit } from './misfit.ts';
import type { Scope } from './path.ts';
import type { DevicePlan } from './record-plan.ts';
import { checkKept, checkStorable } from './target-check.ts';

export const DEVICE_ID_CHARS_MAX = 200;

const LINE = new RegExp(LINE_PATTERN, 'u');

/**
 * The id that a partner gives a device: one line of text, trimmed as a VIN is, so that a newline at its end does not
 * make a second device that looks like the first. A whole number that a double keeps exactly is taken as its digits.
 * Undefined where the data names no device. Throws `Misfit`.
 */
export function readDeviceId(plan: DevicePlan, scope: Scope): string | undefined {
  const value = plan.externalId.evaluate(scope) ?? undefined;
  if (value === undefined) return undefined;
  checkKept(value, plan.place);
  const detail = `expected a device id: one line of 1 to ${DEVICE_ID_CHARS_MAX} characters, or a whole number within 2^53`;
  const isExact = typeof value === 'number' && Number.isSafeInteger(value);
  if (typeof value !== 'string' && !isExact) throw new Misfit('wrong-type', plan.place, describe(value), detail);
  const id = String(value).trim();
  checkStorable(id, plan.place);
  if (id.length > DEVICE_ID_CHARS_MAX || !LINE.test(id))
    throw new Misfit('wrong-type', plan.place, describe(value), detail);
  return id;
}
