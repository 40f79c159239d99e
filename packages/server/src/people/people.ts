import type { Clock } from '@gladhand/base/clock.ts';
import { Fault, nothingHere } from '@gladhand/base/fault.ts';
import { type Ids, isUuid } from '@gladhand/base/ids.ts';
import { type Listed, listById, type Walk } from '@gladhand/base/page.ts';
import type { NewUser, User, UserChange } from '@gladhand/contract/organizations.ts';
import { type Origin, type Person, ROLES, type Role } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Epoch } from '../database/epoch.ts';
import { lockOrganization } from '../organizations/operator.ts';
import { hashPassword } from './password.ts';
import { deleteSessionsOf } from './session-store.ts';
import * as store from './store.ts';

/**
 * The people of an organization. Promise: nobody gives a role above their own or changes their own, an organization
 * that has an admin keeps one, and a deactivation, a new role or a new password counts at the person's next request
 * here and within two seconds on every other node. Assumes the caller is an admin of the organization or a platform
 * operator. Fails as the database fails, having changed nothing.
 */
export interface People {
  list(organizationId: string, walk: Walk): Promise<Listed<User>>;
  /** Throws `not-found`. */
  get(organizationId: string, id: string): Promise<User>;
  /** Throws `already-exists` when anybody in the installation has the email address. */
  create(by: Person, organizationId: string, order: NewUser, origin: Origin): Promise<User>;
  /** Throws `forbidden`, `last-admin`, `already-exists`. A new password, and being deactivated, ends every session. */
  change(by: Person, organizationId: string, id: string, change: UserChange, origin: Origin): Promise<User>;
}

export function createPeople(parts: { database: Database; clock: Clock; ids: Ids; epoch: Epoch }): People {
  const { database, clock, ids } = parts;
  const hash = (password: string | undefined) =>
    password === undefined ? Promise.resolve(undefined) : hashPassword(password, (length) => ids.randomBytes(length));

  async function get(db: Parameters<typeof store.findUser>[0], organizationId: string, id: string): Promise<User> {
    const user = isUuid(id) ? await store.findUser(db, organizationId, id) : undefined;
    if (user === undefined) throw nothingHere('user');
    return user;
  }

  return {
    list: (organizationId, walk) =>
      listById(walk, (slice) =>
        database.within(organizationId, (db) => store.listUsers(db, organizationId, slice), 'read'),
      ),
    get: (organizationId, id) => database.within(organizationId, (db) => get(db, organizationId, id), 'read'),
    async create(by, organizationId, order, origin) {
      refuseHigherRole(by, order.role);
      const at = new Date(clock.nowMs());
      const id = ids.uuid();
      const { password, ...details } = order;
      const passwordHash = (await hash(password)) ?? null;
      return database.within(organizationId, async (trx) => {
        if (!(await store.addPerson(trx, { id, organizationId, ...details, passwordHash, at }))) throw emailTaken();
        const target = { kind: 'user', id };
        await recordAudit(trx, {
          ...origin,
          organizationId,
          action: 'user.created',
          target,
          details: { ...details, hasPassword: passwordHash !== null },
          at,
        });
        return get(trx, organizationId, id);
      });
    },
    async change(by, organizationId, id, change, origin) {
      if (change.role !== undefined) refuseHigherRole(by, change.role);
      if (id.toLowerCase() === by.personId) refuseOwn(change);
      const at = new Date(clock.nowMs());
      const { password, ...details } = change;
      const passwordHash = await hash(password);
      const changed = await database.within(organizationId, async (trx) => {
        await lockOrganization(trx, organizationId);
        const before = await get(trx, organizationId, id);
        await refuseLastAdmin(trx, before, change);
        const after = await store.updatePerson(trx, organizationId, before.id, { ...details, passwordHash }, at);
        if (after === undefined) throw emailTaken();
        if (passwordHash !== undefined || !after.isActive) await deleteSessionsOf(trx, before.id, null);
        const action = before.isActive && !after.isActive ? 'user.deactivated' : 'user.changed';
        const target = { kind: 'user', id: before.id };
        await recordAudit(trx, {
          ...origin,
          organizationId,
          action,
          target,
          details: { ...details, ...(passwordHash !== undefined && { newPassword: true }) },
          at,
        });
        return after;
      });
      await parts.epoch.announceChange();
      return changed;
    },
  };
}

function refuseHigherRole(by: Person, role: Role): void {
  if (ROLES.indexOf(role) > ROLES.indexOf(by.role)) {
    throw new Fault('forbidden', `Your role is ${by.role}; you cannot give ${role}.`, {
      errors: [{ pointer: '/role', code: 'forbidden', detail: 'is above your own role' }],
    });
  }
}

const OWN_REFUSALS = {
  role: 'Nobody changes their own role. Ask another admin.',
  isActive: 'Nobody deactivates themselves. Ask another admin.',
  password: 'Change your own password with PUT /api/v1/auth/password, which asks for the current one.',
} as const;

function refuseOwn(change: UserChange): void {
  for (const name of ['role', 'isActive', 'password'] as const) {
    if (change[name] !== undefined)
      throw new Fault('forbidden', OWN_REFUSALS[name], {
        errors: [{ pointer: `/${name}`, code: 'forbidden', detail: 'is your own' }],
      });
  }
}

async function refuseLastAdmin(
  trx: Parameters<typeof store.countAdmins>[0],
  before: User,
  change: UserChange,
): Promise<void> {
  const stays = (change.role ?? before.role) === 'ADMIN' && (change.isActive ?? before.isActive);
  if (before.role !== 'ADMIN' || !before.isActive || stays) return;
  if ((await store.countAdmins(trx, before.organizationId)) <= 1) {
    throw new Fault(
      'last-admin',
      'This is the last active admin of the organization. Make somebody else an admin first.',
    );
  }
}

function emailTaken(): Fault {
  return new Fault('already-exists', 'A user with this email address exists already.', {
    errors: [{ pointer: '/email', code: 'taken', detail: 'is taken' }],
  });
}
