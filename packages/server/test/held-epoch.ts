import type { Database } from '../src/database/database.ts';

/** A database whose reads of the epoch are counted and can be held: PostgreSQL has answered, the answer is on its way. */
export interface HeldEpoch {
  readonly database: Database;
  readonly reads: number;
  /** Holds every read that begins from now on, each until this `release`. */
  hold(): { readonly isAnswered: Promise<void>; release(): void };
  /** Reads that begin from now on are not held. */
  letThrough(): void;
}

export function createHeldEpoch(database: Database): HeldEpoch {
  let gate: { readonly answered: () => void; readonly released: Promise<void> } | undefined;
  let reads = 0;
  async function readEpoch(): Promise<{ value: number }> {
    const held = gate;
    reads += 1;
    const row = await database.system.selectFrom('access_epoch').select('value').executeTakeFirstOrThrow();
    held?.answered();
    await held?.released;
    return row;
  }
  const system = new Proxy(database.system, {
    get(target, name) {
      const own: unknown = Reflect.get(target, name, target);
      if (name !== 'selectFrom') return typeof own === 'function' ? own.bind(target) : own;
      return (table: 'access_epoch') =>
        table === 'access_epoch'
          ? { select: () => ({ executeTakeFirstOrThrow: readEpoch }) }
          : target.selectFrom(table);
    },
  });
  return {
    database: { ...database, system },
    get reads() {
      return reads;
    },
    hold() {
      const answered = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      const mine = { answered: answered.resolve, released: released.promise };
      gate = mine;
      return {
        isAnswered: answered.promise,
        release() {
          if (gate === mine) gate = undefined;
          released.resolve();
        },
      };
    },
    letThrough() {
      gate = undefined;
    },
  };
}
