import type { Entry } from './batch.ts';

/**
 * The newest records of one organization, in memory, in order of position. Promise: every record that was appended and has
 * a position above `floor` is in it. Bounded by count and bytes; the oldest leave first and raise the floor.
 */
export interface Window {
  readonly floor: number;
  /** Entries with positions above all that are there, ascending. */
  append(entries: readonly Entry[]): void;
  /** The entries above `position`, as a list and the index of the first; undefined when there is none. */
  after(position: number): { readonly entries: readonly Entry[]; readonly start: number } | undefined;
}

export interface WindowLimits {
  readonly recordsMax: number;
  /** Asked at every append, since all organizations share one budget. */
  bytesMax(): number;
}

/** `position`: where the window begins, empty. */
export function createWindow(position: number, limits: WindowLimits): Window {
  let entries: Entry[] = [];
  let dropped = 0;
  let bytes = 0;
  let floor = position;

  const evict = () => {
    const bytesMax = limits.bytesMax();
    while (entries.length - dropped > limits.recordsMax || (bytes > bytesMax && dropped < entries.length)) {
      const oldest = entries[dropped]!;
      bytes -= oldest.bytes;
      floor = oldest.position;
      dropped += 1;
    }
    // Moving the rest is worth its price only once half of the list is gone; until then the dead half is small change.
    if (dropped > entries.length / 2) {
      entries = entries.slice(dropped);
      dropped = 0;
    }
  };

  return {
    get floor() {
      return floor;
    },
    append(added) {
      for (const entry of added) {
        entries.push(entry);
        bytes += entry.bytes;
      }
      evict();
    },
    after(wanted) {
      let low = dropped;
      let high = entries.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (entries[middle]!.position > wanted) high = middle;
        else low = middle + 1;
      }
      return low < entries.length ? { entries, start: low } : undefined;
    },
  };
}
