import { REJECTS_TOLD_MAX, type RefusedPart } from '@gladhand/contract/intake.ts';
import type { Reject } from './mapped-record.ts';
import { Misfit, shorten } from './misfit.ts';

/** What a payload has that does not fit: all of it counted, the first REJECTS_TOLD_MAX told. */
export class Rejects {
  readonly told: Reject[] = [];
  total = 0;

  /** `record` is the number of the candidate; `element` its place in the payload, where that is one. Throws what is no misfit. */
  add(record: number, error: unknown, refused: RefusedPart, element: string | undefined): void {
    if (!(error instanceof Misfit)) throw error;
    this.total += 1;
    if (this.told.length >= REJECTS_TOLD_MAX) return;
    const { code, place, found } = error;
    this.told.push({
      refused,
      record,
      code,
      pointer: place.pointer,
      ...(element === undefined ? {} : { element }),
      expression: place.expression,
      found: shorten(found),
      detail: error.message,
    });
  }
}
