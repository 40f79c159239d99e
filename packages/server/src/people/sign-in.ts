import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Kysely } from 'kysely';
import type { Origin, Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import type { PasswordCheck } from './password-check.ts';
import * as sessionStore from './session-store.ts';
import { createSessionToken, digestSessionToken } from './session-token.ts';
import * as store from './store.ts';

/** How a session begins: by a password, or by whom an identity provider vouches for. */
export interface SignIn {
  signIn(credentials: { email: string; password: string }, from: Client): Promise<SignedIn>;
  signInVouched(email: string, from: Client): Promise<SignedIn>;
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

export interface SignInParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly passwords: PasswordCheck;
  /** Told of a refused sign-in whose email address is somebody's, for the audit log of their organization. */
  readonly onRefused?: ((account: { organizationId: string; personId: string }, from: Client) => void) | undefined;
}

export const SESSION_LIFE_MS = 12 * 60 * 60 * 1000;
const SESSIONS_PER_PERSON_MAX = 20;
const USER_AGENT_CHARS_MAX = 200;

export function createSignIn(parts: SignInParts): SignIn {
  const { database, clock, ids, passwords } = parts;

  const findAccount = async (email: string) =>
    isWritable(email) ? await store.findAccount(database.system, email) : undefined;

  async function open(account: store.Account, by: 'password' | 'identity-provider', from: Client): Promise<SignedIn> {
    const token = createSessionToken((length) => ids.randomBytes(length));
    const digest = digestSessionToken(token);
    const at = new Date(clock.nowMs());
    await database.within(account.organizationId, async (trx) => {
      const current = await store.lockAccount(trx, account.personId);
      // Changed while the password was being verified.
      if (current === undefined || !current.isActive || current.passwordHash !== account.passwordHash) throw refused();
      await insertSession(trx, account, { digest, from, at });
      await recordOpened(trx, account, { by, from, at });
    });
    const session = await sessionStore.findSession(database.system, digest);
    if (session === undefined) throw refused();
    return { token, person: session.person };
  }

  return {
    async signIn({ email, password }, from) {
      const address = email.trim();
      return passwords.attempt(address, from.address, async () => {
        const account = await findAccount(address);
        const isRight = await passwords.verify(password, account?.passwordHash ?? null);
        if (!isRight || account === undefined || !account.isActive) {
          if (account !== undefined) parts.onRefused?.(account, from);
          throw refused();
        }
        return open(account, 'password', from);
      });
    },
    async signInVouched(email, from) {
      const account = await findAccount(email);
      if (account === undefined || !account.isActive) throw refused();
      return open(account, 'identity-provider', from);
    },
  };
}

function insertSession(
  trx: Kysely<Schema>,
  { organizationId, personId }: store.Account,
  { digest, from, at }: { digest: Buffer; from: Client; at: Date },
): Promise<void> {
  const expiresAt = new Date(at.getTime() + SESSION_LIFE_MS);
  const userAgent = from.userAgent?.slice(0, USER_AGENT_CHARS_MAX) ?? null;
  const session = { digest, organizationId, personId, at, expiresAt, address: from.address, userAgent };
  return sessionStore.insertSession(trx, session, SESSIONS_PER_PERSON_MAX);
}

function recordOpened(
  trx: Kysely<Schema>,
  { organizationId, personId }: store.Account,
  { by, from, at }: { by: string; from: Client; at: Date },
): Promise<void> {
  const actor: Origin['actor'] = { kind: 'person', id: personId };
  const { address, requestId } = from;
  const target = { kind: 'user', id: personId };
  const action = 'session.opened';
  return recordAudit(trx, { actor, address, requestId, organizationId, action, target, details: { by }, at });
}

/** PostgreSQL's text has no NUL, and no email address has a control character. */
function isWritable(email: string): boolean {
  return !/\p{Cc}/u.test(email);
}

function refused(): Fault {
  return new Fault('sign-in-refused', 'The email address or the password is not right, or the account is not active.');
}
