import type { Fault } from '@gladhand/base/fault.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { createNetworks } from '@gladhand/base/network.ts';
import type { CreatedApiKey, NewApiKey } from '@gladhand/contract/api-keys.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HOME, openKeyWorld } from '../../test/key-world.ts';
import type { Database } from '../database/database.ts';
import { insertOrganization } from '../organizations/store.ts';
import { insertPerson } from '../people/store.ts';
import { createApiKeys } from './administer-keys.ts';
import { issueKey } from './issue-key.ts';
import { type Person, type Principal, SCOPES, SYSTEM_ORIGIN } from './principal.ts';

test('whatever an admin asks for, a key that is made has no right its creator has not', async () => {
  const { database, parts, access, organizationId } = await openKeyWorld();
  const at = new Date(parts.clock.nowMs());
  const rivalId = systemIds.uuid();
  await insertOrganization(database.owner, { id: rivalId, slug: 'rival', name: 'Rival', kind: 'customer', at });
  const plant = (owner: string) => insertPlant(database, owner, at);
  const own = [await plant(organizationId), await plant(organizationId)];
  const foreign = await plant(rivalId);
  const personId = systemIds.uuid();
  await insertPerson(database.owner, {
    id: personId,
    organizationId,
    email: 'a@example.com',
    name: 'A',
    role: 'ADMIN',
    passwordHash: null,
    at,
  });
  const by: Person = {
    personId,
    organizationId,
    organizationKind: 'customer',
    role: 'ADMIN',
    email: 'a@example.com',
    name: 'A',
    sessionId: '',
    sessionExpiresAtMs: 0,
  };
  const keys = createApiKeys({
    database,
    clock: parts.clock,
    issueKey: (trx, order) => issueKey(trx, parts, order),
    isProduct: (name) => name === 'traccar',
    onChanged: async () => {},
  });
  const order = orders({ plantIds: [...own, foreign], atMs: at.getTime() });
  let made = 0;
  await fc.assert(
    fc.asyncProperty(
      order,
      fc.constantFrom(HOME, '10.1.1.1', '198.51.100.1', '2001:db8::1'),
      async (asked, address) => {
        const created = await keys
          .create(by, { id: organizationId, kind: 'customer' }, asked, SYSTEM_ORIGIN)
          .catch((error: Fault) => error.code);
        if (typeof created === 'string') {
          expect(created).toBe('validation-failed');
          return;
        }
        made += 1;
        const use = await Promise.resolve(access.authenticateKey(created.key, address)).catch(
          (error: Fault) => error.code,
        );
        expectNoMore(use, { asked, created, by, address, foreign });
      },
    ),
    { numRuns: 400 },
  );
  expect(made).toBeGreaterThan(50);
});

/** Whatever somebody could ask for, good and bad. */
function orders({ plantIds, atMs }: { plantIds: readonly string[]; atMs: number }) {
  return fc.record({
    name: fc.constant('k'),
    partnerId: fc.constant('p'),
    scopes: fc.oneof(
      fc.uniqueArray(fc.constantFrom<string>(...SCOPES.filter((scope) => scope !== 'telemetry:write')), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.constant<string[]>(['telemetry:write', 'product:traccar']),
      fc.array(fc.constantFrom<string>(...SCOPES, 'product:traccar', 'product:other', 'admin'), {
        minLength: 1,
        maxLength: 3,
      }),
    ),
    allowedIps: fc.array(fc.constantFrom('10.0.0.0/8', '203.0.113.9', '2001:db8::/32', '0.0.0.0/0', '010.0.0.1'), {
      maxLength: 2,
    }),
    allowAnyAddress: fc.boolean(),
    allowedPlantIds: fc.oneof(fc.constant(null), fc.uniqueArray(fc.constantFrom(...plantIds), { maxLength: 3 })),
    expiresAt: fc.oneof(
      fc.constant(null),
      fc.integer({ min: -100_000, max: 100_000 }).map((ms) => new Date(atMs + ms).toISOString()),
    ),
  });
}

async function insertPlant(database: Database, owner: string, at: Date): Promise<string> {
  const id = systemIds.uuid();
  const nothing = { fleet_id: null, vin: null, vin_check: null, unit_number: null, serial_number: null };
  await database.owner
    .insertInto('asset')
    .values({ id, organization_id: owner, kind: 'plant', name: 'P', ...nothing, created_at: at, updated_at: at })
    .execute();
  return id;
}

/** `use`: what the key that was `created` gives from `address`, or the code of the refusal. */
function expectNoMore(
  use: Principal | string,
  of: { asked: NewApiKey; created: CreatedApiKey; by: Person; address: string; foreign: string },
): void {
  const { asked, created, by, address, foreign } = of;
  const networks = created.apiKey.allowedIps.length === 0 ? null : createNetworks(created.apiKey.allowedIps);
  expect(typeof use === 'string' ? use : 'admitted').toBe(
    networks === null || networks.has(address) ? 'admitted' : 'address-not-allowed',
  );
  if (typeof use === 'string') return;
  expect(use.organizationId).toBe(by.organizationId);
  expect(use.organizationKind).toBe(by.organizationKind);
  expect([...use.scopes].every((scope) => asked.scopes.includes(scope))).toBe(true);
  expect(use.scopes.has('telemetry:write') && use.audience !== 'partner').toBe(false);
  if (asked.allowedPlantIds)
    expect([...(use.plantIds ?? ['every plant'])].sort()).toEqual([...asked.allowedPlantIds].sort());
  expect(use.plantIds?.has(foreign) ?? false).toBe(false);
  if (asked.expiresAt) expect(use.tokenExpiresAtMs).toBe(Date.parse(asked.expiresAt));
}
