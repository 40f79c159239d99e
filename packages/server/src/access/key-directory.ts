import type { Clock } from '@gladhand/base/clock.ts';
import type { Database } from '../database/database.ts';
import type { Epoch } from '../database/epoch.ts';
import { inTime } from '../database/in-time.ts';
import type { KeyRow } from './key-state.ts';
import { findKey } from './key-state-store.ts';

/**
 * What this node knows of the keys in use, in memory. Promise: a change committed anywhere (revocation, rotation,
 * expiry or addresses changed) is known here when the epoch's rise is, and a node that has not reached the database for
 * `LEASE_MS` answers nothing from memory any more: it asks, and fails closed when it cannot. However many callers wait,
 * a key is read once.
 */
export interface KeyDirectory {
  /** The key, or undefined when there is none; at once when it is known and the lease holds. */
  find(keyId: string): KeyRow | undefined | Promise<KeyRow | undefined>;
  close(): void;
}

export interface KeyDirectoryParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly epoch: Epoch;
}

const LEASE_MS = 2_000;
const KEYS_MAX = 50_000;

export function openKeyDirectory({ database, clock, epoch }: KeyDirectoryParts): KeyDirectory {
  const keys = new Map<string, KeyRow | undefined>();
  const loading = new Map<string, Promise<KeyRow | undefined>>();
  const stopListening = epoch.onRise(() => {
    keys.clear();
    loading.clear();
  });

  const isLeased = () => epoch.isFresh(LEASE_MS);

  function load(keyId: string): Promise<KeyRow | undefined> {
    const underWay = loading.get(keyId);
    if (underWay !== undefined) return underWay;
    const mine: Promise<KeyRow | undefined> = inTime(
      clock,
      'Keys cannot be checked right now. Try again.',
      read(keyId),
    ).finally(() => {
      if (loading.get(keyId) === mine) loading.delete(keyId);
    });
    loading.set(keyId, mine);
    return mine;
  }

  async function read(keyId: string): Promise<KeyRow | undefined> {
    if (!isLeased()) await epoch.refresh();
    const readUnder = epoch.value;
    const key = await findKey(database, keyId);
    // Read before a change that is known by now: good for whoever asked before it, not for the next.
    if (readUnder === epoch.value) {
      if (keys.size >= KEYS_MAX) keys.clear();
      keys.set(keyId, key);
    }
    return key;
  }

  return {
    find: (keyId) => (isLeased() && keys.has(keyId) ? keys.get(keyId) : load(keyId)),
    close: stopListening,
  };
}
