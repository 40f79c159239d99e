import type { Clock } from '@gladhand/base/clock.ts';
import type { HeldSlots } from './held-slots.ts';
import { BEAT } from './lua.ts';
import type { Reach } from './reach.ts';
import type { RedisKeys, RedisLink } from './redis-link.ts';

/**
 * A node says every third of the lease TTL that it lives and which slots it holds, and by the same message finds out
 * whether Redis is back and how many nodes there are.
 */
export interface RedisBeat {
  now(): Promise<void>;
  after(delayMs: number): void;
  cancel(): void;
}

export interface RedisBeatParts {
  readonly keys: RedisKeys;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
  readonly clock: Clock;
  readonly link: RedisLink;
  readonly reach: Reach;
  readonly held: HeldSlots;
  /** Slots of which Redis may have another count than this node and no lease is left to say so. */
  readonly unsettled: Set<string>;
  readonly isClosed: () => boolean;
  /** Told how many nodes are alive and what time it is in Redis, milliseconds since the epoch. */
  readonly onBeat: (nodes: number, atMs: number) => void;
}

export const PROBE_MS = 250;
const SLOTS_PER_BEAT = 500;

export function createRedisBeat(parts: RedisBeatParts): RedisBeat {
  const { clock, link, reach, isClosed } = parts;
  let isBeating = false;
  let cancel = () => {};

  /** Nothing more is asked of a Redis that has not answered the last beat. */
  async function beatOnce(): Promise<void> {
    const work = sendBeat(parts);
    const answer = await link.inTime(work);
    if (answer !== undefined) {
      parts.onBeat(answer[0]!, answer[1]!);
      reach.onAnswer();
    }
    await work.catch(() => {});
  }

  function after(delayMs: number): void {
    cancel();
    if (isClosed() || isBeating) return;
    cancel = clock.after(delayMs, () => void now());
  }

  async function now(): Promise<void> {
    if (isBeating) return;
    cancel();
    isBeating = true;
    await beatOnce();
    isBeating = false;
    after(reach.isOpen ? parts.leaseTtlMs / 3 : PROBE_MS);
  }

  return { now, after, cancel: () => cancel() };
}

async function sendBeat({ keys, nodeId, leaseTtlMs, link, held, unsettled }: RedisBeatParts): Promise<number[]> {
  const settling = [...unsettled];
  const counts = new Map([...settling.map((name) => [name, held.count(name)] as const), ...held.entries()]);
  const names = [...counts.keys()];
  const answers: Promise<number[]>[] = [];
  for (let first = 0; first === 0 || first < names.length; first += SLOTS_PER_BEAT) {
    const some = names.slice(first, first + SLOTS_PER_BEAT);
    const slots = some.map((name) => keys.root + name);
    const args = [nodeId, String(leaseTtlMs), ...some.map((name) => String(counts.get(name)))];
    answers.push(link.run(BEAT, [keys.nodes, ...slots], args));
  }
  const all = await Promise.all(answers);
  for (const name of settling) unsettled.delete(name);
  return all[0]!;
}

/**
 * More nodes count at once, fewer when it was fewer for a lease TTL: after Redis lost its data it knows only those
 * that spoke since, and a share that is too large would be worse than one that is too small.
 */
export function createNodeCount(clock: Clock, leaseTtlMs: number, expected: number) {
  let nodes = Math.max(1, expected);
  let fewerSinceMs: number | undefined;
  return {
    get nodes() {
      return nodes;
    },
    learn(alive: number): void {
      if (alive < nodes) {
        fewerSinceMs ??= clock.monotonicMs();
        if (clock.monotonicMs() - fewerSinceMs < leaseTtlMs) return;
      }
      nodes = Math.max(1, alive);
      fewerSinceMs = undefined;
    },
  };
}
