import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Origin, Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Epoch } from '../database/epoch.ts';
import type { Limits } from '../limits/limits.ts';
import { changePassword } from './change-password.ts';
import { openKnownSessions, SESSION_IDLE_MS_MAX } from './known-sessions.ts';
import { createPasswordCheck } from './password-check.ts';
import * as sessionStore from './session-store.ts';
import { digestSessionToken, isSessionToken } from './session-token.ts';
import { type Client, createSignIn, type SignedIn, type SignInParts } from './sign-in.ts';

/**
 * People sign in and get a session: 256 random bits, of which only the SHA-256 is kept. Promise: an unknown address, a
 * wrong password and a deactivated person get one answer after the same work; a session is worth nothing after
 * sign-out, deactivation or a new password, here at the next request and on other nodes within `FRESH_MS`; a session
 * nobody was given before signing in is never taken over. Assumes the wall clock of nodes agrees to seconds. Fails
 * closed: a node that cannot read the epoch admits nobody.
 */
export interface Sessions {
  /** Throws `sign-in-refused`, `too-many-attempts`; `temporarily-unavailable` when too many sign in at once. */
  signIn(credentials: { email: string; password: string }, from: Client): Promise<SignedIn>;
  /** The same for whom an identity provider vouches: the active person with this email address. */
  signInVouched(email: string, from: Client): Promise<SignedIn>;
  /** Whose token it is. Throws `invalid-token`, `token-expired`. */
  authenticate(token: string): Person | Promise<Person>;
  /** Ends the session of this token if there is one. */
  end(token: string): Promise<void>;
  signOut(person: Person, origin: Origin): Promise<void>;
  /** Ends every other session of the person. Throws `wrong-password`, `too-many-attempts`. */
  changePassword(
    person: Person,
    change: { currentPassword: string; newPassword: string },
    origin: Origin,
  ): Promise<void>;
  close(): void;
}

export interface SessionParts {
  readonly database: Database;
  readonly epoch: Epoch;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Counts failures. */
  readonly limits: Limits;
  readonly onRefused?: SignInParts['onRefused'];
}

export function openSessions(parts: SessionParts): Sessions {
  const { database, clock, ids, epoch, onRefused } = parts;
  const known = openKnownSessions({ database, clock, epoch });
  const passwords = createPasswordCheck(parts.limits);
  return {
    ...createSignIn({ database, clock, ids, passwords, onRefused }),
    authenticate: known.find,
    async end(token) {
      if (isSessionToken(token) && (await sessionStore.deleteSession(database.system, digestSessionToken(token))))
        await epoch.announceChange();
    },
    async signOut(person, origin) {
      await endSession(database, person, origin, new Date(clock.nowMs()));
      known.forget(person.sessionId);
      await epoch.announceChange();
    },
    async changePassword(person, change, origin) {
      await changePassword({ database, clock, ids, passwords }, person, change, origin);
      await epoch.announceChange();
    },
    close: known.close,
  };
}

function endSession(database: Database, person: Person, origin: Origin, at: Date): Promise<void> {
  const { organizationId, personId } = person;
  return database.within(organizationId, async (trx) => {
    if (!(await sessionStore.deleteSession(trx, Buffer.from(person.sessionId, 'hex')))) return;
    const target = { kind: 'user', id: personId };
    await recordAudit(trx, { ...origin, organizationId, action: 'session.ended', target, details: {}, at });
  });
}

/** Sessions past their life or idle too long go; the housekeeper calls this. */
export function forgetSessions(database: Database, nowMs: number): Promise<void> {
  return sessionStore.deleteSessionsBefore(database.system, new Date(nowMs), new Date(nowMs - SESSION_IDLE_MS_MAX));
}
