import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Database } from '../database/database.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import * as store from './store.ts';

/**
 * What this node knows of the keys in use, in memory. Promise: a change committed anywhere (revocation, rotation,
 * expiry moved) is known here at the next ring of the doorbell, at the latest with the next poll, and a node that has
 * not reached the database for `LEASE_MS` answers nothing from memory any more: it asks, and fails closed when it
 * cannot. The poll reads one row, whatever the number of keys.
 */
export interface KeyDirectory {
  /** The key, or undefined when there is none; at once when it is known and the lease holds. */
  find(keyId: string): store.KeyRow | undefined | Promise<store.KeyRow | undefined>;
  /** Calls `listen` after every change of the epoch. */
  onChange(listen: () => void): () => void;
  /** Looks for changes now. */
  refresh(): Promise<void>;
  close(): void;
}

const POLL_MS = 250;
const LEASE_MS = 2_000;
const KEYS_MAX = 50_000;

export async function openKeyDirectory(parts: { database: Database; clock: Clock; doorbell: Doorbell; log: Logger }): Promise<KeyDirectory> {
  const { database, clock, log } = parts;
  const keys = new Map<string, store.KeyRow | undefined>();
  const listeners = new Set<() => void>();
  let epoch = await store.readEpoch(database);
  let seenAtMs = clock.monotonicMs();
  let polling: Promise<void> | undefined;
  let isClosed = false;
  let cancelPoll = () => {};

  async function poll(): Promise<void> {
    const askedAtMs = clock.monotonicMs();
    const current = await store.readEpoch(database);
    seenAtMs = askedAtMs;
    if (current === epoch) return;
    epoch = current;
    keys.clear();
    for (const listen of listeners) listen();
  }

  /** One poll at a time; whoever comes while one is under way gets one that began after they came. */
  function refresh(): Promise<void> {
    const next = (polling ?? Promise.resolve()).catch(() => {}).then(poll);
    polling = next;
    return next;
  }

  async function load(keyId: string): Promise<store.KeyRow | undefined> {
    if (clock.monotonicMs() - seenAtMs > LEASE_MS) await refresh();
    const loadedUnder = epoch;
    const key = await store.findKey(database, keyId);
    if (loadedUnder === epoch) {
      if (keys.size >= KEYS_MAX) keys.clear();
      keys.set(keyId, key);
    }
    return key;
  }

  function schedule(): void {
    if (isClosed) return;
    cancelPoll = clock.after(POLL_MS, () => {
      refresh()
        .catch((error: unknown) => log.warn({ err: error }, 'the key directory could not be refreshed'))
        .finally(schedule);
    });
  }
  schedule();
  const stopListening = parts.doorbell.on('keys', () => {
    refresh().catch(() => {});
  });

  return {
    find: (keyId) => (keys.has(keyId) && clock.monotonicMs() - seenAtMs <= LEASE_MS ? keys.get(keyId) : load(keyId)),
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
