import type { Lease, SlotClaim } from './limits.ts';

/** The slots that this process holds: the truth about them, of which a shared store has a copy. */
export interface HeldSlots {
  /** With those asked for. */
  count(key: string): number;
  /** Counts one more before it is known whether it is given; then call exactly one of `keep` and `drop`. */
  ask(key: string): { keep(): Lease; drop(): void };
  /** Keys with at least one slot held or asked for. */
  entries(): IterableIterator<[key: string, count: number]>;
}

export function slotKey({ policy, key }: SlotClaim): string {
  return `s:${policy.name}:${key}`;
}

/** `onRelease` is told how many are held after a lease was released. */
export function createHeldSlots(onRelease: (key: string, count: number) => void = () => {}): HeldSlots {
  const counts = new Map<string, number>();
  const count = (key: string) => counts.get(key) ?? 0;
  function drop(key: string): number {
    const left = count(key) - 1;
    if (left > 0) counts.set(key, left);
    else counts.delete(key);
    return left;
  }
  return {
    count,
    ask(key) {
      counts.set(key, count(key) + 1);
      return {
        drop: () => void drop(key),
        keep() {
          let isHeld = true;
          return {
            release() {
              if (!isHeld) return;
              isHeld = false;
              onRelease(key, drop(key));
            },
          };
        },
      };
    },
    entries: () => counts.entries(),
  };
}
