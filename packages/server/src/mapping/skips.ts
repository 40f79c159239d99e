import type { Leaves } from './leaves.ts';
import { markSkipped, type Skipped } from './mark-record.ts';

/** Elements that a `when` leaves out: they count when no record spec takes or refuses them. */
export class Skips {
  /** By their place in the payload; undefined: a record spec has taken or refused it. */
  readonly #at = new Map<string, Skipped | undefined>();
  readonly #leaves: Leaves;
  #elsewhere = 0;

  constructor(leaves: Leaves) {
    this.#leaves = leaves;
  }

  /** `place` is undefined where the element is not at one place; it then counts each time. */
  add(place: string | undefined, skipped: Skipped): void {
    if (place === undefined) {
      markSkipped(skipped, this.#leaves);
      this.#elsewhere += 1;
    } else if (!this.#at.has(place)) this.#at.set(place, skipped);
  }

  /** A record spec has taken or refused what stands there. */
  settle(place: string | undefined): void {
    if (place !== undefined) this.#at.set(place, undefined);
  }

  /** Marks the leaves of what is left, and counts it. */
  mark(): number {
    const left = [...this.#at.values()].filter((skipped) => skipped !== undefined);
    for (const skipped of left) markSkipped(skipped, this.#leaves);
    return left.length + this.#elsewhere;
  }
}
