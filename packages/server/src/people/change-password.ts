import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Origin, Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import { unknownSession } from './known-sessions.ts';
import { hashPassword } from './password.ts';
import type { PasswordCheck } from './password-check.ts';
import * as sessionStore from './session-store.ts';
import * as store from './store.ts';

export interface ChangePasswordParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly passwords: PasswordCheck;
}

/** Gives the person a new password and ends every other session of theirs. Throws `wrong-password`, `too-many-attempts`. */
export async function changePassword(
  { database, clock, ids, passwords }: ChangePasswordParts,
  person: Person,
  change: { currentPassword: string; newPassword: string },
  origin: Origin,
): Promise<void> {
  const { organizationId, personId } = person;
  const { account, passwordHash } = await passwords.attempt(person.email, origin.address ?? '', async () => {
    const account = await database.within(organizationId, (db) => store.lockAccount(db, personId));
    if (!(await passwords.verify(change.currentPassword, account?.passwordHash ?? null))) throw wrongPassword();
    const passwordHash = await hashPassword(change.newPassword, (length) => ids.randomBytes(length));
    return { account, passwordHash };
  });
  const at = new Date(clock.nowMs());
  await database.within(organizationId, async (trx) => {
    const current = await store.lockAccount(trx, personId);
    // Changed while the new password was being hashed.
    if (current?.passwordHash !== account?.passwordHash) throw unknownSession();
    await store.updatePerson(trx, organizationId, personId, { passwordHash }, at);
    await sessionStore.deleteSessionsOf(trx, personId, Buffer.from(person.sessionId, 'hex'));
    const target = { kind: 'user', id: personId };
    await recordAudit(trx, { ...origin, organizationId, action: 'user.password-changed', target, details: {}, at });
  });
}

function wrongPassword(): Fault {
  return new Fault('wrong-password', 'The current password is not right.', {
    errors: [{ pointer: '/currentPassword', code: 'wrong-password', detail: 'is not the current password' }],
  });
}
