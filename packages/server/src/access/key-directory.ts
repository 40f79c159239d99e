import type { Clock } from '@gladhand/base/clock.ts';
import { coalesce } from '@gladhand/base/coalesce.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from '../database/database.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { KeyRow } from './key-state.ts';
import * as store from './store.ts';

/**
 * What this node knows of the keys in use, in memory. Promise: a change committed anywhere (revocation, rotation,
 * expiry or addresses changed) is known here at the next ring of the doorbell, at the latest with the next poll, and
 * a node that has not reached the database for `LEASE_MS` answers nothing from memory any more: it asks, and fails
 * closed when it cannot. The poll reads one row, whatever the number of keys. However many callers wait, one poll is
 * under way and one is waiting, and a key is read once.
 */
export interface KeyDirectory {
  /** The key, or undefined when there is none; at once when it is known and the lease holds. */
  find(keyId: string): KeyRow | undefined | Promise<KeyRow | undefined>;
  /** Calls `listen` after every change of the epoch. */
  onChange(listen: () => void): () => void;
  /** Looks for changes now. */
  refresh(): Promise<void>;
  close(): void;
}

const POLL_MS = 250;
const LEASE_MS = 2_000;
/** A caller is told to come back rather than left waiting for a database that does not answer. */
const ANSWER_MS_MAX = 2_000;
const KEYS_MAX = 50_000;

export async function openKeyDirectory(parts: {
  database: Database;
  clock: Clock;
  doorbell: Doorbell;
  log: Logger;
}): Promise<KeyDirectory> {
  const { database, clock, log } = parts;
  const keys = new Map<string, KeyRow | undefined>();
  const loading = new Map<string, Promise<KeyRow | undefined>>();
  const listeners = new Set<() => void>();
  let seenAtMs = clock.monotonicMs();
  let epoch = await store.readEpoch(database);
  let isClosed = false;
  let isLost = false;
  let cancelPoll = () => {};

  async function poll(): Promise<void> {
    const askedAtMs = clock.monotonicMs();
    const current = await store.readEpoch(database);
    // An answer that was given up for lost and comes after a newer one says nothing any more.
    if (askedAtMs < seenAtMs) return;
    seenAtMs = askedAtMs;
    if (current === epoch) return;
    epoch = current;
    keys.clear();
    loading.clear();
    for (const listen of listeners) listen();
  }

  /** Resolves after a poll that began after the call. */
  const refresh = coalesce(() => inTime(clock, poll()));

  const isLeased = () => clock.monotonicMs() - seenAtMs <= LEASE_MS;

  function load(keyId: string): Promise<KeyRow | undefined> {
    const underWay = loading.get(keyId);
    if (underWay !== undefined) return underWay;
    const mine: Promise<KeyRow | undefined> = inTime(clock, read(keyId)).finally(() => {
      if (loading.get(keyId) === mine) loading.delete(keyId);
    });
    loading.set(keyId, mine);
    return mine;
  }

  async function read(keyId: string): Promise<KeyRow | undefined> {
    if (!isLeased()) await refresh();
    const readUnder = epoch;
    const key = await store.findKey(database, keyId);
    // Read before a change that is known by now: good for whoever asked before it, not for the next.
    if (readUnder === epoch) {
      if (keys.size >= KEYS_MAX) keys.clear();
      keys.set(keyId, key);
    }
    return key;
  }

  function schedule(): void {
    if (isClosed) return;
    cancelPoll = clock.after(POLL_MS, () => {
      refresh()
        .then(
          () => {
            if (isLost) log.info('the key directory is in touch again');
            isLost = false;
          },
          (error: unknown) => {
            if (!isLost && !isClosed)
              log.warn(
                { err: error },
                'the key directory has lost touch with the database; keys are not taken from memory',
              );
            isLost = true;
          },
        )
        .finally(schedule);
    });
  }
  schedule();
  const stopListening = parts.doorbell.on('keys', () => {
    refresh().catch(() => {});
  });

  return {
    find: (keyId) => (isLeased() && keys.has(keyId) ? keys.get(keyId) : load(keyId)),
    onChange(listen) {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    refresh,
    close() {
      isClosed = true;
      cancelPoll();
      stopListening();
      listeners.clear();
    },
  };
}

/** `work`, or `temporarily-unavailable` when it takes too long. */
function inTime<Result>(clock: Clock, work: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ANSWER_MS_MAX, () =>
      reject(
        new Fault('temporarily-unavailable', 'Keys cannot be checked right now. Try again.', { retryAfterSeconds: 1 }),
      ),
    );
    work.then(resolve, reject).finally(cancel);
  });
}
