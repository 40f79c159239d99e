import type { Leaves } from './leaves.ts';
import { markSkipped, type Skipped } from './mark-record.ts';

/** Elements that a `when` leaves out. They count as skipped unless another record spec takes or rejects them. */
export class Skips {
  /** Keyed by JSON Pointer into the payload. Undefined if a record spec has taken or rejected the element. */
  readonly #at = new Map<string, Skipped | undefined>();
  readonly #leaves: Leaves;
  #elsewhere = 0;

  constructor(leaves: Leaves) {
    this.#leaves = leaves;
  }

  /** Adds an element. If it is not at one place in the payload, `place` is undefined and it counts each time. */
  add(place: string | undefined, skipped: Skipped): void {
    if (place === undefined) {
      markSkipped(skipped, this.#leaves);
      this.#elsewhere += 1;
    } else if (!this.#at.has(place)) this.#at.set(place, skipped);
  }

  /** Records that a record spec has taken or rejected the element at `place`. */
  settle(place: string | undefined): void {
    if (place !== undefined) this.#at.set(place, undefined);
  }

  /** Marks the leaves of the skipped elements and returns how many there are. */
  mark(): number {
    const left = [...this.#at.values()].filter((skipped) => skipped !== undefined);
    for (const skipped of left) markSkipped(skipped, this.#leaves);
    return left.length + this.#elsewhere;
  }
}
