import { REJECTS_TOLD_MAX, type RefusedPart } from '@gladhand/contract/intake.ts';
import type { Reject } from './mapped-record.ts';
import { Misfit, shorten } from './misfit.ts';

/** The rejects of one payload. All are counted, and the first REJECTS_TOLD_MAX are kept. */
export class Rejects {
  readonly told: Reject[] = [];
  total = 0;

  /**
   * Adds a reject. `record` is the record's number in the payload. `element` is a JSON Pointer into the payload, undefined
   * if the element is not at one place. Throws `error` again if it is not a `Misfit`.
   */
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
