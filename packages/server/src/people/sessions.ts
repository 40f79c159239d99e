import { createHash } from 'node:crypto';
import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Origin, Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { Limits } from '../limits/limits.ts';
import { createAttempts } from './attempt-limit.ts';
import { hashPassword, isPassword } from './password.ts';
import * as sessionStore from './session-store.ts';
import * as store from './store.ts';

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

export interface Client {
  readonly address: string;
  readonly userAgent: string | null;
  readonly requestId: string;
}

export interface SignedIn {
  /** The only copy there will ever be. */
  readonly token: string;
  readonly person: Person;
}

export const SESSION_LIFE_MS = 12 * 60 * 60 * 1000;
export const SESSION_IDLE_MS_MAX = 2 * 60 * 60 * 1000;
/** How old what this node knows may be; the promise of two seconds leaves as much again for slow answers. */
export const FRESH_MS = 1_000;
const SESSIONS_PER_PERSON_MAX = 20;
const CACHED_MAX = 10_000;
/** A busy session costs one write a minute. */
const TOUCH_MS = 60_000;
/** Verifications under way or waiting at once; each takes 19 MiB and 36 ms while it runs. */
const VERIFICATIONS_MAX = 32;
const USER_AGENT_CHARS_MAX = 200;

const TOKEN_PREFIX = 'gladhand_session_';
const TOKEN = new RegExp(`^${TOKEN_PREFIX}[A-Za-z0-9_-]{43}$`);
/** Of a password nobody has: what an unknown address is verified against. */
const NOBODYS_HASH = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

export interface SessionParts {
  readonly database: Database;
  readonly doorbell: Doorbell;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Counts failures. */
  readonly limits: Limits;
  /** Told of a refused sign-in whose email address is somebody's, for the audit log of their organization. */
  readonly onRefused?: (account: { organizationId: string; personId: string }, from: Client) => void;
}

export function openSessions(parts: SessionParts): Sessions {
  const { database, clock, ids } = parts;
  const attempts = createAttempts(parts.limits);
  const known = new Map<string, sessionStore.StoredSession & { touchedAtMs: number }>();
  let epoch: number | undefined;
  let seenAtMs = Number.NEGATIVE_INFINITY;
  let verifications = 0;
  // The next request asks; nothing runs for people who are not there.
  const stopListening = parts.doorbell.on('keys', () => {
    seenAtMs = Number.NEGATIVE_INFINITY;
  });

  const isFresh = () => clock.monotonicMs() - seenAtMs <= FRESH_MS;

  async function refresh(): Promise<void> {
    const askedAtMs = clock.monotonicMs();
    const current = await sessionStore.readEpoch(database.system);
    if (current !== epoch) known.clear();
    epoch = current;
    seenAtMs = askedAtMs;
  }

  async function find(token: string): Promise<Person> {
    const digest = digestOf(token);
    if (!isFresh()) await refresh();
    const loadedUnder = epoch;
    const nowMs = clock.nowMs();
    const cached = known.get(digest.toString('hex'));
    // Another node may have seen the session since; only the table knows that it was idle.
    const session = cached && !isIdle(cached, nowMs) ? cached : await load(digest);
    if (session === undefined || !session.isActive) throw unknownSession();
    if (session.person.sessionExpiresAtMs <= nowMs || isIdle(session, nowMs)) throw ended();
    let touchedAtMs = Math.max(session.lastUsedAtMs, cached?.touchedAtMs ?? 0);
    if (nowMs - touchedAtMs >= TOUCH_MS) {
      await sessionStore.touchSession(database.system, digest, new Date(nowMs));
      touchedAtMs = nowMs;
    }
    if (loadedUnder === epoch) {
      if (known.size >= CACHED_MAX) known.clear();
      known.set(digest.toString('hex'), { ...session, touchedAtMs });
    }
    return session.person;
  }

  const load = (digest: Buffer) => sessionStore.findSession(database.system, digest);

  /** One unit of argon2 work, whoever asks and whatever comes of it. */
  async function verify(password: string, hash: string | null): Promise<boolean> {
    if (verifications >= VERIFICATIONS_MAX) {
      throw new Fault(
        'temporarily-unavailable',
        'Many people are signing in at the moment. Send the same request again.',
        { retryAfterSeconds: 1 },
      );
    }
    verifications += 1;
    try {
      return (await isPassword(password, hash ?? NOBODYS_HASH)) && hash !== null;
    } finally {
      verifications -= 1;
    }
  }

  /** Does what needs the right password; only a wrong one counts against the account and the address. */
  async function attempt<Result>(email: string, address: string, work: () => Promise<Result>): Promise<Result> {
    const counted = await attempts.begin(email.toLowerCase(), address);
    try {
      const result = await work();
      await counted.succeed();
      return result;
    } catch (error) {
      const isWrong = error instanceof Fault && (error.status === 401 || error.status === 403);
      if (!isWrong) await counted.giveBack();
      throw error;
    }
  }

  async function open(account: store.Account, by: 'password' | 'identity-provider', from: Client): Promise<SignedIn> {
    const token = TOKEN_PREFIX + ids.randomBytes(32).toString('base64url');
    const digest = digestOf(token);
    const at = new Date(clock.nowMs());
    const { organizationId, personId } = account;
    await database.within(organizationId, async (trx) => {
      const current = await store.lockAccount(trx, personId);
      // Changed while the password was being verified.
      if (current === undefined || !current.isActive || current.passwordHash !== account.passwordHash) throw refused();
      const expiresAt = new Date(at.getTime() + SESSION_LIFE_MS);
      const userAgent = from.userAgent?.slice(0, USER_AGENT_CHARS_MAX) ?? null;
      await sessionStore.insertSession(
        trx,
        { digest, organizationId, personId, at, expiresAt, address: from.address, userAgent },
        SESSIONS_PER_PERSON_MAX,
      );
      const origin: Origin = {
        actor: { kind: 'person', id: personId },
        address: from.address,
        requestId: from.requestId,
      };
      await recordAudit(trx, {
        ...origin,
        organizationId,
        action: 'session.opened',
        target: { kind: 'user', id: personId },
        details: { by },
        at,
      });
    });
    const session = await load(digest);
    if (session === undefined) throw refused();
    return { token, person: session.person };
  }

  return {
    async signIn({ email, password }, from) {
      const address = email.trim();
      return attempt(address, from.address, async () => {
        const account = isWritable(address) ? await store.findAccount(database.system, address) : undefined;
        const isRight = await verify(password, account?.passwordHash ?? null);
        if (!isRight || account === undefined || !account.isActive) {
          if (account !== undefined) parts.onRefused?.(account, from);
          throw refused();
        }
        return open(account, 'password', from);
      });
    },
    async signInVouched(email, from) {
      const account = isWritable(email) ? await store.findAccount(database.system, email) : undefined;
      if (account === undefined || !account.isActive) throw refused();
      return open(account, 'identity-provider', from);
    },
    authenticate(token) {
      if (!TOKEN.test(token)) throw unknownSession();
      if (!isFresh()) return find(token);
      const session = known.get(digestOf(token).toString('hex'));
      const nowMs = clock.nowMs();
      const isGood =
        session !== undefined &&
        session.person.sessionExpiresAtMs > nowMs &&
        !isIdle(session, nowMs) &&
        nowMs - session.touchedAtMs < TOUCH_MS;
      return isGood ? session.person : find(token);
    },
    async end(token) {
      if (TOKEN.test(token) && (await sessionStore.deleteSession(database.system, digestOf(token))))
        parts.doorbell.ring('keys');
    },
    async signOut(person, origin) {
      const at = new Date(clock.nowMs());
      await database.within(person.organizationId, async (trx) => {
        if (!(await sessionStore.deleteSession(trx, Buffer.from(person.sessionId, 'hex')))) return;
        const target = { kind: 'user', id: person.personId };
        await recordAudit(trx, {
          ...origin,
          organizationId: person.organizationId,
          action: 'session.ended',
          target,
          details: {},
          at,
        });
      });
      known.delete(person.sessionId);
      parts.doorbell.ring('keys');
    },
    async changePassword(person, change, origin) {
      const { organizationId, personId } = person;
      const { account, passwordHash } = await attempt(person.email, origin.address ?? '', async () => {
        const account = await database.within(organizationId, (db) => store.lockAccount(db, personId));
        if (!(await verify(change.currentPassword, account?.passwordHash ?? null))) throw wrongPassword();
        const passwordHash = await hashPassword(change.newPassword, (length) => ids.randomBytes(length));
        return { account, passwordHash };
      });
      const at = new Date(clock.nowMs());
      await database.within(organizationId, async (trx) => {
        const current = await store.lockAccount(trx, personId);
        if (current?.passwordHash !== account?.passwordHash) throw unknownSession();
        await store.updatePerson(trx, organizationId, personId, { passwordHash }, at);
        await sessionStore.deleteSessionsOf(trx, personId, Buffer.from(person.sessionId, 'hex'));
        await recordAudit(trx, {
          ...origin,
          organizationId,
          action: 'user.password-changed',
          target: { kind: 'user', id: personId },
          details: {},
          at,
        });
      });
      parts.doorbell.ring('keys');
    },
    close() {
      stopListening();
      known.clear();
    },
  };
}

/** Sessions past their life or idle too long go; the housekeeper calls this. */
export function forgetSessions(database: Database, nowMs: number): Promise<void> {
  return sessionStore.deleteSessionsBefore(database.system, new Date(nowMs), new Date(nowMs - SESSION_IDLE_MS_MAX));
}

function isIdle(session: { lastUsedAtMs: number; touchedAtMs?: number }, nowMs: number): boolean {
  return nowMs - Math.max(session.lastUsedAtMs, session.touchedAtMs ?? 0) >= SESSION_IDLE_MS_MAX;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** PostgreSQL's text has no NUL, and no email address has a control character. */
function isWritable(email: string): boolean {
  return !/\p{Cc}/u.test(email);
}

function refused(): Fault {
  return new Fault('sign-in-refused', 'The email address or the password is not right, or the account is not active.');
}

function wrongPassword(): Fault {
  return new Fault('wrong-password', 'The current password is not right.', {
    errors: [{ pointer: '/currentPassword', code: 'wrong-password', detail: 'is not the current password' }],
  });
}

function unknownSession(): Fault {
  return new Fault('invalid-token', 'This session does not exist or has ended. Sign in again.');
}

function ended(): Fault {
  return new Fault('token-expired', 'The session has ended. Sign in again.');
}
