import type { Clock } from '@gladhand/base/clock.ts';

/**
 * Waiting for a slot. Promise: who was refused first is tried again first; at most `lengthMax` wait for one key, each
 * at most `waitMsMax`; who has gone (aborted) gets nothing and blocks nobody. Assumes `nudge` is called when a slot was
 * released in this process; slots that other nodes release are found by trying again every `RETRY_MS`. Order holds
 * within a node. An attempt that throws fails its own request only.
 */
export interface WaitingLine {
  /** Tries at once when nobody waits for `key`, else stands in line. Rejects with the signal's reason. */
  enter<Value>(wait: Wait<Value>): Promise<Entered<Value>>;
  /** A slot of `key` has come free here. */
  nudge(key: string): void;
  /** How many wait for `key`. */
  length(key: string): number;
}

export interface Wait<Value> {
  readonly key: string;
  readonly lengthMax: number;
  readonly waitMsMax: number;
  readonly signal?: AbortSignal | undefined;
  /** Answers undefined when there is no slot yet. */
  readonly attempt: () => Promise<Value | undefined>;
  /** Takes back what an attempt got for a request that has gone meanwhile. */
  readonly giveBack: (value: Value) => void;
}

export type Entered<Value> =
  | { readonly outcome: 'entered'; readonly value: Value }
  /** Nobody may wait any more, or not at all. */
  | { readonly outcome: 'full' }
  | { readonly outcome: 'waited-out' };

/** Five tries in the quarter of a second that a short wait is; with one head per key and node the load is small. */
export const RETRY_MS = 50;

interface Waiter {
  /** Tries, and tells whether the place is free for the next. */
  attempt(): Promise<boolean>;
}

interface Line {
  readonly waiters: Set<Waiter>;
  isTrying: boolean;
  isNudged: boolean;
  cancelRetry: () => void;
}

export function createWaitingLine(parts: { clock: Clock; retryMs?: number }): WaitingLine {
  const { clock, retryMs = RETRY_MS } = parts;
  const lines = new Map<string, Line>();

  /** Tries the first in line, and goes on to the next for as long as places are free. */
  async function advance(line: Line): Promise<void> {
    if (line.isTrying) {
      line.isNudged = true;
      return;
    }
    line.isTrying = true;
    line.cancelRetry();
    for (let head = firstOf(line); head !== undefined; head = firstOf(line)) {
      line.isNudged = false;
      const isFree = await head.attempt();
      if (isFree) line.waiters.delete(head);
      else if (!line.isNudged && firstOf(line) === head) break;
    }
    line.isTrying = false;
    if (line.waiters.size > 0) line.cancelRetry = clock.after(retryMs, () => void advance(line));
  }

  function leave(key: string, line: Line, waiter: Waiter): void {
    line.waiters.delete(waiter);
    if (line.waiters.size > 0) return;
    line.cancelRetry();
    if (lines.get(key) === line) lines.delete(key);
  }

  function standIn<Value>({
    key,
    lengthMax,
    waitMsMax,
    signal,
    attempt,
    giveBack,
  }: Wait<Value>): Promise<Entered<Value>> {
    const line = lines.get(key) ?? {
      waiters: new Set<Waiter>(),
      isTrying: false,
      isNudged: false,
      cancelRetry: () => {},
    };
    if (line.waiters.size >= lengthMax || waitMsMax <= 0) return Promise.resolve({ outcome: 'full' });
    lines.set(key, line);
    return new Promise((resolve, reject) => {
      let isGone = false;
      const go = (settle: () => void) => {
        if (isGone) return;
        isGone = true;
        cancelWait();
        signal?.removeEventListener('abort', onAbort);
        leave(key, line, waiter);
        settle();
      };
      const waiter: Waiter = {
        async attempt() {
          try {
            const value = await attempt();
            if (value === undefined) return isGone;
            if (isGone) giveBack(value);
            else go(() => resolve({ outcome: 'entered', value }));
          } catch (error) {
            go(() => reject(error));
          }
          return true;
        },
      };
      const onAbort = () => go(() => reject(signal?.reason));
      const cancelWait = clock.after(waitMsMax, () => go(() => resolve({ outcome: 'waited-out' })));
      signal?.addEventListener('abort', onAbort, { once: true });
      line.waiters.add(waiter);
      if (line.waiters.size === 1 && !line.isTrying) line.cancelRetry = clock.after(retryMs, () => void advance(line));
    });
  }

  return {
    async enter(wait) {
      wait.signal?.throwIfAborted();
      if (!lines.has(wait.key)) {
        const value = await wait.attempt();
        if (value !== undefined) {
          if (!wait.signal?.aborted) return { outcome: 'entered', value };
          wait.giveBack(value);
        }
        wait.signal?.throwIfAborted();
      }
      return standIn(wait);
    },
    nudge(key) {
      const line = lines.get(key);
      if (line !== undefined) void advance(line);
    },
    length: (key) => lines.get(key)?.waiters.size ?? 0,
  };
}

function firstOf(line: Line): Waiter | undefined {
  return line.waiters.values().next().value;
}
