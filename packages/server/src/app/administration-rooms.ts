import { type ApiKeys, createApiKeys } from '../access/administer-keys.ts';
import { issueKey } from '../access/issue-key.ts';
import { createOrganizations, type Organizations } from '../organizations/organizations.ts';
import { createPeople, type People } from '../people/people.ts';
import { type Administration, createAdministration } from '../registry/administer.ts';
import type { Surroundings } from './backends.ts';
import type { Foundation } from './foundation.ts';
import type { LimitRoom } from './limit-room.ts';

/** What people administer: organizations, their people, their keys, and what they own. */
export interface AdministrationRooms {
  readonly organizations: Organizations;
  readonly people: People;
  readonly apiKeys: ApiKeys;
  readonly administration: Administration;
}

export function createAdministrationRooms(
  { clock, ids }: Surroundings,
  { backends, epoch, products, secrets }: Foundation,
  limitRoom: LimitRoom,
): AdministrationRooms {
  const { database, doorbell } = backends;
  const around = { database, clock, ids };
  return {
    organizations: createOrganizations({ ...around, onPlanChanged: limitRoom.announceChange }),
    people: createPeople({ ...around, epoch }),
    apiKeys: createApiKeys({
      database,
      clock,
      issueKey: (trx, order) => issueKey(trx, { secrets, clock, ids }, order),
      isProduct: (name) => products.find(name) !== undefined,
      onChanged: epoch.announceChange,
    }),
    administration: createAdministration({ ...around, onRegistered: () => doorbell.ring('intake') }),
  };
}
