import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Organization } from '@gladhand/contract/organizations.ts';
import { SYSTEM_ORIGIN } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import { getOrMakeOperator, lockOrganization } from '../organizations/operator.ts';
import { hashPassword } from './password.ts';
import * as store from './store.ts';

export interface FirstAdmin {
  readonly email: string;
  readonly name: string;
  readonly password: string;
  /** A slug; undefined: the operator's organization. */
  readonly organization: string | undefined;
  /** Also where there is an admin already. */
  readonly force: boolean;
}

/**
 * Makes the admin nobody could make over the API, and the operator's organization when there is none. Throws a
 * StartRefusal when the organization has an admin, does not exist, or the email address is taken; changes nothing then.
 */
export async function createFirstAdmin(
  parts: { database: Database; clock: Clock; ids: Ids },
  order: FirstAdmin,
): Promise<Organization> {
  const { database, clock, ids } = parts;
  const passwordHash = await hashPassword(order.password, (length) => ids.randomBytes(length));
  const at = new Date(clock.nowMs());
  return database.system.transaction().execute(async (trx) => {
    const organization = await getOrMakeOperator(trx, order.organization, { id: ids.uuid(), at });
    if (organization === undefined) {
      throw new StartRefusal(
        `There is no organization with the slug ${order.organization}. The operator makes organizations over the API.`,
      );
    }
    await lockOrganization(trx, organization.id);
    if (!order.force && (await store.countAdmins(trx, organization.id)) > 0) {
      throw new StartRefusal(
        `${organization.slug} has an admin already, who can make more over the API. Use --force to make another one here.`,
      );
    }
    const id = ids.uuid();
    const person = { email: order.email, name: order.name, role: 'ADMIN' } as const;
    if (!(await store.addPerson(trx, { id, organizationId: organization.id, ...person, passwordHash, at }))) {
      throw new StartRefusal(`A user with the email address ${order.email} exists already.`);
    }
    const target = { kind: 'user', id };
    await recordAudit(trx, {
      ...SYSTEM_ORIGIN,
      organizationId: organization.id,
      action: 'user.created',
      target,
      details: person,
      at,
    });
    return organization;
  });
}
