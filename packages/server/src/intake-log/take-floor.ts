/**
 * Where a take begins to look. While a long snapshot is open (a dump), PostgreSQL keeps the entries that have ended,
 * and a walk from the start passes them all: 222 ms where it takes 2. Promise: no entry is below the floor. An entry
 * can still appear below one that was read, because sequences are given before commits; so the floor rises to an entry
 * only when every transaction that was writing the log when it was the lowest has ended, and a take after that found
 * nothing below it.
 */
export interface TakeFloor {
  /** Every entry that is left or can still appear has this sequence or a higher one. */
  readonly sequence: number;
  /** Tells the lowest sequence that a take from the floor has found. */
  onLowest(lowest: number): Promise<void>;
  /** Entries may have come back below. */
  reset(): void;
}

/** So many entries are passed at most before the floor is raised: some 1 ms, where asking who writes takes 0.2 ms. */
export const FLOOR_LAG_ENTRIES_MAX = 5_000;

interface Candidate {
  readonly sequence: number;
  /** Transactions that may still add an entry below it. */
  readonly writers: ReadonlySet<string>;
  hasNoWriters: boolean;
}

export function createTakeFloor(findWriters: () => Promise<ReadonlySet<string>>): TakeFloor {
  let sequence = 0;
  let candidate: Candidate | undefined;
  return {
    get sequence() {
      return sequence;
    },
    async onLowest(lowest) {
      if (candidate?.hasNoWriters) {
        sequence = Math.min(candidate.sequence, lowest);
        candidate = undefined;
      } else if (candidate !== undefined) {
        const { writers } = candidate;
        const stillWriting = [...(await findWriters())].filter((writer) => writers.has(writer));
        candidate.hasNoWriters = stillWriting.length === 0;
      } else if (lowest - sequence >= FLOOR_LAG_ENTRIES_MAX) {
        candidate = { sequence: lowest, writers: await findWriters(), hasNoWriters: false };
      }
    },
    reset() {
      sequence = 0;
      candidate = undefined;
    },
  };
}
