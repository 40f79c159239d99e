import type { FilledTail, Tail } from './tail.ts';

/** The tails of this node: one for each organization that has subscribers here, and none for any other. */
export interface Tails {
  /** The organization's tail, opened if this is its first user. Call `release` once when done. */
  acquire(organizationId: string): Promise<{ readonly tail: Tail; release(): void }>;
  /** The organization's tail, once it is open. */
  find(organizationId: string): FilledTail | undefined;
  /** The organizations whose tails are open. */
  openIds(): string[];
  /** Organizations that have a tail, open or on the way. */
  readonly size: number;
  close(): void;
}

interface Held {
  readonly opening: Promise<FilledTail>;
  /** Null until the tail is read. */
  open: FilledTail | null;
  users: number;
}

/** `open` makes a tail, and calls `begin` with it when from then on it is given everything. */
export function createTails(
  open: (organizationId: string, begin: (tail: FilledTail) => void) => Promise<FilledTail>,
): Tails {
  const tails = new Map<string, Held>();

  function hold(organizationId: string): Held {
    const begin = (tail: FilledTail) => {
      held.open = tail;
    };
    const held: Held = { opening: open(organizationId, begin), open: null, users: 0 };
    tails.set(organizationId, held);
    return held;
  }

  return {
    async acquire(organizationId) {
      const held = tails.get(organizationId) ?? hold(organizationId);
      held.users += 1;
      let isReleased = false;
      const release = () => {
        if (isReleased) return;
        isReleased = true;
        held.users -= 1;
        if (held.users > 0) return;
        if (tails.get(organizationId) === held) tails.delete(organizationId);
        held.open?.close();
      };
      try {
        return { tail: await held.opening, release };
      } catch (error) {
        release();
        throw error;
      }
    },
    find: (organizationId) => tails.get(organizationId)?.open ?? undefined,
    openIds: () => [...tails].flatMap(([organizationId, { open: tail }]) => (tail === null ? [] : [organizationId])),
    get size() {
      return tails.size;
    },
    close() {
      for (const { open: tail } of tails.values()) tail?.close();
      tails.clear();
    },
  };
}
