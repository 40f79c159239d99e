import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Epoch } from '../database/epoch.ts';
import type { KeyDirectory } from './key-directory.ts';
import { addressNotAllowed, deadToken } from './key-refusals.ts';
import { endsAtMs, isAllowedAddress, isGood, type KeyRow } from './key-state.ts';
import type { Principal } from './principal.ts';

/** Looks after streams that are open, as long as their keys stay good. */
export interface StreamWatch {
  /**
   * Calls `end` once, with the reason, when a stream that was opened by the principal from `address` may not go on: at
   * once if it may not already. The answer stops watching.
   */
  watch(principal: Principal, end: (reason: Fault) => void, address?: string): () => void;
  close(): void;
}

/** A timer of Node runs for 24.8 days at most; whoever waits longer looks again after a day. */
const LOOK_AGAIN_MS = 86_400_000;

export function openStreamWatch(parts: { clock: Clock; epoch: Epoch; directory: KeyDirectory }): StreamWatch {
  const { clock, directory } = parts;
  const watched = new Set<() => void>();
  const stopListening = parts.epoch.onRise(() => {
    for (const look of [...watched]) look();
  });

  function watch(principal: Principal, end: (reason: Fault) => void, address?: string): () => void {
    let cancelTimer = () => {};
    const stop = () => {
      cancelTimer();
      watched.delete(look);
    };
    const finish = (reason: Fault) => {
      if (!watched.has(look)) return;
      stop();
      end(reason);
    };
    const judge = (key: KeyRow | undefined) => {
      if (!watched.has(look)) return;
      const reason = reasonToEnd(key, principal, address, clock.nowMs());
      if (reason !== undefined) return finish(reason);
      cancelTimer();
      const leftMs = endsAtMs(key, principal.generation) - clock.nowMs();
      if (leftMs !== Number.POSITIVE_INFINITY) cancelTimer = clock.after(Math.min(leftMs, LOOK_AGAIN_MS), look);
    };
    const look = () => {
      const key = directory.find(principal.keyId);
      if (key instanceof Promise) key.then(judge, () => finish(unchecked()));
      else judge(key);
    };
    watched.add(look);
    look();
    return stop;
  }

  return { watch, close: stopListening };
}

/** Why a stream of this principal may not go on; undefined: it may. */
function reasonToEnd(
  key: KeyRow | undefined,
  principal: Principal,
  address: string | undefined,
  nowMs: number,
): Fault | undefined {
  if (!isGood(key, principal.generation, nowMs)) return deadToken();
  if (address !== undefined && !isAllowedAddress(key, address)) return addressNotAllowed();
  const isSame = (one: Iterable<string>, other: Iterable<string>) =>
    [...one].sort().join(' ') === [...other].sort().join(' ');
  const plantsStay =
    key.plantIds === null
      ? principal.plantIds === null
      : principal.plantIds !== null && isSame(key.plantIds, principal.plantIds);
  if (plantsStay && isSame(key.scopes, principal.scopes)) return undefined;
  return new Fault(
    'invalid-token',
    'What the key behind this stream may see has changed. Subscribe again with the cursor.',
  );
}

function unchecked(): Fault {
  return new Fault(
    'temporarily-unavailable',
    'The key behind this stream cannot be checked right now. Subscribe again with the cursor.',
    { retryAfterSeconds: 1 },
  );
}
