import type { Expression } from './expression.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import type { Scope } from './path.ts';

/** Whether the element satisfies `when`. A missing input means no. Throws `Misfit` if the result is not a bool. */
export function passesWhen(when: Expression, place: Place, scope: Scope): boolean {
  const value = when.evaluate(scope) ?? false;
  if (typeof value !== 'boolean') throw new Misfit('wrong-type', place, describe(value), 'expected true or false');
  return value;
}
