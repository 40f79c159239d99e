import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';

/**
 * Limits on guessing passwords, in the memory of this node. Promise: however many tries come at once, no more than
 * these are verified in a window, because a try counts before it is verified and is given back when it succeeds. What
 * is counted is bounded; when the memory is full of other people's failures, new ones are refused for a while.
 */
export interface Attempts {
  /** Counts a try; throws `too-many-attempts`. The answer gives it back: call it when the try succeeded. */
  begin(account: string, address: string): () => void;
}

export const ATTEMPTS_WINDOW_MS = 15 * 60 * 1000;
/** Somebody who mistypes; at 5 in 15 minutes a guesser gets 480 a day. */
export const FAILURES_PER_ACCOUNT_AND_ADDRESS_MAX = 5;
/** Many accounts from one place: password spraying. An office behind one address has to fit. */
export const FAILURES_PER_ADDRESS_MAX = 20;
/** One account from many places; high, because reaching it keeps the owner out too (NIST SP 800-63B 5.2.2 allows 100). */
export const FAILURES_PER_ACCOUNT_MAX = 100;
const COUNTERS_MAX = 100_000;

interface Counter {
  count: number;
  readonly endsAtMs: number;
}

export function createAttempts(clock: Clock): Attempts {
  const counters = new Map<string, Counter>();

  function current(name: string, nowMs: number): Counter {
    const known = counters.get(name);
    if (known !== undefined && known.endsAtMs > nowMs) return known;
    counters.delete(name);
    if (counters.size >= COUNTERS_MAX)
      for (const [key, { endsAtMs }] of counters) if (endsAtMs <= nowMs) counters.delete(key);
    if (counters.size >= COUNTERS_MAX) throw tooMany(ATTEMPTS_WINDOW_MS);
    const fresh = { count: 0, endsAtMs: nowMs + ATTEMPTS_WINDOW_MS };
    counters.set(name, fresh);
    return fresh;
  }

  return {
    begin(account, address) {
      const nowMs = clock.nowMs();
      const place = networkOf(address);
      const limits = [
        [`both ${place} ${account}`, FAILURES_PER_ACCOUNT_AND_ADDRESS_MAX],
        [`address ${place}`, FAILURES_PER_ADDRESS_MAX],
        [`account ${account}`, FAILURES_PER_ACCOUNT_MAX],
      ] as const;
      const taken = limits.map(([name, max]) => ({ counter: current(name, nowMs), max }));
      const full = taken.filter(({ counter, max }) => counter.count >= max);
      if (full.length > 0) throw tooMany(Math.max(...full.map(({ counter }) => counter.endsAtMs)) - nowMs);
      for (const { counter } of taken) counter.count += 1;
      return () => {
        for (const { counter } of taken) counter.count = Math.max(0, counter.count - 1);
        // Whoever knows the password has shown that the earlier failures from here were their own.
        taken[0]!.counter.count = 0;
      };
    },
  };
}

/** An IPv6 host owns at least its /64, so that counts as one place; an IPv4 address stands for itself. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address.slice(address.lastIndexOf(':') + 1);
  const [head, tail] = address.split('::') as [string, string?];
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail?.split(':') ?? [])]
    .slice(0, 4)
    .join(':');
}

function tooMany(waitMs: number): Fault {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new Fault('too-many-attempts', `Too many failed attempts. The next one is accepted in ${seconds} s.`, {
    retryAfterSeconds: seconds,
  });
}
