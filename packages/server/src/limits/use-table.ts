import { LRUCache } from 'lru-cache';
import type { Use } from './quota.ts';

/** Some 20 MiB. Beyond it the use that was asked for longest ago is forgotten, as if that limit were unused. */
export const USES_MAX = 100_000;

/** On each new entry, so many of the oldest are looked at and dropped when nothing depends on them: the table shrinks by itself. */
const SWEPT_PER_ENTRY = 2;

export interface KeptUse extends Use {
  /** Second from which on it needs not be kept. */
  readonly forgottenFrom: number;
}

/** Uses by key, bounded, each operation in constant time. */
export interface UseTable<Entry extends KeptUse> {
  find(key: string): Entry | undefined;
  put(key: string, use: Entry, nowSecond: number): void;
  readonly size: number;
}

export function createUseTable<Entry extends KeptUse>(usesMax = USES_MAX): UseTable<Entry> {
  const uses = new LRUCache<string, Entry>({ max: usesMax });
  return {
    find: (key) => uses.get(key),
    put(key, use, nowSecond) {
      if (!uses.has(key)) sweep(uses, nowSecond);
      uses.set(key, use);
    },
    get size() {
      return uses.size;
    },
  };
}

function sweep<Entry extends KeptUse>(uses: LRUCache<string, Entry>, nowSecond: number): void {
  for (let looked = 0; looked < SWEPT_PER_ENTRY; looked += 1) {
    const oldest = uses.rkeys().next().value;
    if (oldest === undefined || uses.peek(oldest)!.forgottenFrom > nowSecond) return;
    uses.delete(oldest);
  }
}
