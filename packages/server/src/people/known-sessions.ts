import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Person } from '../access/principal.ts';
import type { Database } from '../database/database.ts';
import type { Epoch } from '../database/epoch.ts';
import * as sessionStore from './session-store.ts';
import { digestSessionToken, isSessionToken } from './session-token.ts';

/**
 * Sessions that this node has seen, in memory. Promise: a session that has ended, or whose person was changed, is not
 * answered from memory once the epoch's rise is known; a node that has not reached the database for `FRESH_MS` answers
 * nothing from memory.
 */
export interface KnownSessions {
  /** Whose token it is; at once when it is known. Throws `invalid-token`, `token-expired`. */
  find(token: string): Person | Promise<Person>;
  forget(sessionId: string): void;
  close(): void;
}

export interface KnownSessionsParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly epoch: Epoch;
}

export const SESSION_IDLE_MS_MAX = 2 * 60 * 60 * 1000;
/** How old what this node knows may be; the promise of two seconds leaves as much again for slow answers. */
export const FRESH_MS = 1_000;
const SESSIONS_MAX = 10_000;
/** A busy session costs one write a minute. */
const TOUCH_MS = 60_000;

type KnownSession = sessionStore.StoredSession & { readonly touchedAtMs: number };

export function openKnownSessions({ database, clock, epoch }: KnownSessionsParts): KnownSessions {
  const known = new Map<string, KnownSession>();
  const stopListening = epoch.onRise(() => known.clear());

  async function findAsking(token: string): Promise<Person> {
    const digest = digestSessionToken(token);
    if (!epoch.isFresh(FRESH_MS)) await epoch.refresh();
    const readUnder = epoch.value;
    const nowMs = clock.nowMs();
    const remembered = known.get(digest.toString('hex'));
    // Another node may have seen the session since; only the table knows that it was idle.
    const session =
      remembered && !isIdle(remembered, nowMs) ? remembered : await sessionStore.findSession(database.system, digest);
    if (session === undefined || !session.isActive) throw unknownSession();
    if (session.person.sessionExpiresAtMs <= nowMs || isIdle(session, nowMs)) throw ended();
    let touchedAtMs = Math.max(session.lastUsedAtMs, remembered?.touchedAtMs ?? 0);
    if (nowMs - touchedAtMs >= TOUCH_MS) {
      await sessionStore.touchSession(database.system, digest, new Date(nowMs));
      touchedAtMs = nowMs;
    }
    if (readUnder === epoch.value) {
      if (known.size >= SESSIONS_MAX) known.clear();
      known.set(digest.toString('hex'), { ...session, touchedAtMs });
    }
    return session.person;
  }

  return {
    find(token) {
      if (!isSessionToken(token)) throw unknownSession();
      if (!epoch.isFresh(FRESH_MS)) return findAsking(token);
      const session = known.get(digestSessionToken(token).toString('hex'));
      const nowMs = clock.nowMs();
      const isGood =
        session !== undefined &&
        session.person.sessionExpiresAtMs > nowMs &&
        !isIdle(session, nowMs) &&
        nowMs - session.touchedAtMs < TOUCH_MS;
      return isGood ? session.person : findAsking(token);
    },
    forget: (sessionId) => void known.delete(sessionId),
    close() {
      stopListening();
      known.clear();
    },
  };
}

function isIdle(session: { lastUsedAtMs: number; touchedAtMs?: number }, nowMs: number): boolean {
  return nowMs - Math.max(session.lastUsedAtMs, session.touchedAtMs ?? 0) >= SESSION_IDLE_MS_MAX;
}

export function unknownSession(): Fault {
  return new Fault('invalid-token', 'This session does not exist or has ended. Sign in again.');
}

function ended(): Fault {
  return new Fault('token-expired', 'The session has ended. Sign in again.');
}
