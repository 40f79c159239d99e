import type { FieldError } from '@gladhand/contract/errors.ts';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { allErrorsAjv, createAjv, fieldErrors } from '../mapping/schema-errors.ts';

/** Values of a payload above which only the first finding is told: collecting all of them would cost too much. */
const COLLECT_VALUES_MAX = 20_000;

const firstErrorAjv = createAjv({ allErrors: false });

export type InputCheck =
  | { readonly ok: true; readonly validate: (payload: unknown) => FieldError[] }
  | { readonly ok: false; readonly detail: string };

/**
 * A product's input schema, compiled: `validate` gives [] or up to 20 findings. It stops at the first one, and goes
 * through again for the others only when the payload is small enough to list them.
 */
export function createInputCheck(schema: Readonly<Record<string, unknown>>): InputCheck {
  let first: ValidateFunction;
  let every: ValidateFunction | undefined;
  try {
    first = firstErrorAjv.compile(schema);
  } catch (error) {
    return { ok: false, detail: `expected a JSON Schema 2020-12: ${(error as Error).message}` };
  }
  return {
    ok: true,
    validate(payload) {
      if (first(payload)) return [];
      const collect = countValues(payload, COLLECT_VALUES_MAX) < COLLECT_VALUES_MAX;
      if (!collect) return fieldErrors(first.errors ?? []);
      every ??= allErrorsAjv.compile(schema);
      every(payload);
      return fieldErrors(every.errors ?? []);
    },
  };
}

/** How many values `root` holds, itself included; stops counting at `max`. */
function countValues(root: unknown, max: number): number {
  const waiting: unknown[] = [root];
  let count = 0;
  while (waiting.length > 0 && count < max) {
    const value = waiting.pop();
    count += 1;
    if (typeof value !== 'object' || value === null) continue;
    const inner = Object.values(value);
    if (count + inner.length >= max) return max;
    for (const entry of inner) waiting.push(entry);
  }
  return count;
}
