import type { Expression } from './expression.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import type { Scope } from './path.ts';

/** Whether a `when` lets an element through; a missing input does not. Throws `Misfit` when it gives anything but a bool. */
export function isWanted(when: Expression, place: Place, scope: Scope): boolean {
  const value = when.evaluate(scope) ?? false;
  if (typeof value !== 'boolean') throw new Misfit('wrong-type', place, describe(value), 'expected true or false');
  return value;
}
