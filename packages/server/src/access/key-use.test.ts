import type { Fault } from '@gladhand/base/fault.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { createNetworks } from '@gladhand/base/network.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createManualClock } from '../../test/manual-clock.ts';
import type { Database } from '../database/database.ts';
import { openEpoch } from '../database/epoch.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { insertOrganization } from '../organizations/store.ts';
import { insertPerson } from '../people/store.ts';
import { openAccess } from './access.ts';
import { createApiKeys } from './administer-keys.ts';
import { createApiKey } from './api-key.ts';
import { issueKey } from './issue-key.ts';
import { type Person, type Principal, SCOPES, SYSTEM_ORIGIN } from './principal.ts';
import { rotateSigningKey } from './rotate-signing-key.ts';
import { createSecrets } from './secrets.ts';

const HOME = '203.0.113.9';

async function openWorld() {
  const database = await openTestDatabase();
  const clock = createManualClock();
  let reads = 0;
  const counted: Database = {
    ...database,
    get system() {
      reads += 1;
      return database.system;
    },
  };
  const doorbell = createLocalDoorbell();
  const epoch = await openEpoch({ database: counted, doorbell, clock, log: silentLogger });
  onTestFinished(() => epoch.close());
  const parts = {
    database: counted,
    epoch,
    secrets: createSecrets(Buffer.alloc(32, 7)),
    clock,
    ids: systemIds,
    log: silentLogger,
  };
  const access = await openAccess({ ...parts, issuer: 'gladhand', tokenTtlSeconds: 1800 });
  onTestFinished(() => access.close());
  const organizationId = systemIds.uuid();
  await insertOrganization(database.owner, {
    id: organizationId,
    slug: 'one',
    name: 'One',
    kind: 'customer',
    at: new Date(clock.nowMs()),
  });
  const order = {
    organizationId,
    audience: 'customer' as const,
    partnerId: 'p',
    name: 'k',
    scopes: ['fleets:read'],
    createdBy: null,
  };
  const issue = (changes: Partial<Parameters<typeof issueKey>[2]> = {}) =>
    issueKey(database.owner, parts, { ...order, ...changes });
  const set = async (id: string, change: Record<string, unknown>) => {
    await database.owner.updateTable('api_key').set(change).where('id', '=', id).execute();
    await epoch.announceChange();
  };
  return { database, clock, parts, epoch, access, organizationId, issue, set, readsNow: () => reads };
}

const codeOf = async (attempt: () => unknown) => {
  try {
    await attempt();
    return 'admitted';
  } catch (error) {
    return (error as Fault).code;
  }
};

test('an API key sent as it is costs no database once it was seen, and is judged anew on every request', async () => {
  const { access, issue, set, clock, readsNow } = await openWorld();
  const key = await issue({ expiresAt: new Date(clock.nowMs() + 60_000) });
  const use = (address = HOME) => access.authenticateKey(key.plaintext, address);
  expect(await use()).toMatchObject({ keyId: key.id, audience: 'customer', generation: 1 });
  const before = readsNow();
  const first = use() as Principal;
  for (let n = 0; n < 1_000; n += 1) expect(use()).toBe(first);
  expect(readsNow()).toBe(before);
  await set(key.id, { allowed_ips: ['10.0.0.0/8'] });
  expect(await codeOf(() => use())).toBe('address-not-allowed');
  expect(await codeOf(() => use('::ffff:10.1.2.3'))).toBe('admitted');
  expect(await codeOf(() => use('not an address'))).toBe('address-not-allowed');
  await set(key.id, { allowed_ips: [] });
  expect(await codeOf(() => use())).toBe('admitted');
  clock.advance(60_000);
  expect(await codeOf(() => use())).toBe('invalid-api-key');
  await set(key.id, { expires_at: null, revoked_at: new Date(clock.nowMs()) });
  expect(await codeOf(() => use())).toBe('invalid-api-key');
});

test('mistyped keys never reach the database, however many are tried', async () => {
  const { access, issue, readsNow } = await openWorld();
  const { plaintext } = await issue();
  const before = readsNow();
  for (let n = 0; n < 20_000; n += 1) {
    const random = createApiKey((length) => systemIds.randomBytes(length)).plaintext;
    const wrong = `${random.slice(0, -1)}${random.endsWith('0') ? '1' : '0'}`;
    await codeOf(() => access.authenticateKey(wrong, HOME)).then((code) => expect(code).toBe('invalid-api-key'));
  }
  expect(readsNow()).toBe(before);
  expect(await codeOf(() => access.authenticateKey(plaintext, HOME))).toBe('admitted');
});

test('of keys sent as they are, only those that are wrong count as tries: not the right ones, nor what could not be looked up', async () => {
  let counted = 0;
  const beginAttempt = async () => {
    counted += 1;
    return () => {
      counted -= 1;
    };
  };
  const { parts, issue, database } = await openWorld();
  const access = await openAccess({ ...parts, issuer: 'gladhand', tokenTtlSeconds: 1800, beginAttempt });
  onTestFinished(() => access.close());
  const [right, unseen, elsewhere] = [await issue(), await issue(), await issue({ allowedIps: ['10.0.0.0/8'] })];
  const unknown = createApiKey((length) => systemIds.randomBytes(length)).plaintext;
  const tries = async (apiKey: string) => [await codeOf(() => access.authenticateKey(apiKey, HOME)), counted];
  expect(await tries(right.plaintext)).toEqual(['admitted', 0]);
  expect(await tries(unknown)).toEqual(['invalid-api-key', 1]);
  expect(await tries(elsewhere.plaintext)).toEqual(['address-not-allowed', 2]);
  await sql`alter table api_key_secret rename to api_key_secret_away`.execute(database.owner);
  expect((await tries(unseen.plaintext))[1]).toBe(2);
  await sql`alter table api_key_secret_away rename to api_key_secret`.execute(database.owner);
  expect(await tries(unseen.plaintext)).toEqual(['admitted', 2]);
});

test('a busy generation is written once a minute, with its latest use, and the last use at the end', async () => {
  const { epoch, database, access, issue, clock } = await openWorld();
  const key = await issue();
  const stored = () =>
    database.owner.selectFrom('api_key_secret').select(['last_used_at', 'last_used_address']).executeTakeFirstOrThrow();
  const use = (address: string) => access.authenticateKey(key.plaintext, address);
  const startMs = clock.nowMs();
  await use('203.0.113.1');
  clock.advance(5_000);
  await expect.poll(stored).toMatchObject({ last_used_address: '203.0.113.1', last_used_at: new Date(startMs) });
  await use('::ffff:203.0.113.2');
  clock.advance(30_000);
  await epoch.announceChange();
  expect(await stored()).toMatchObject({ last_used_address: '203.0.113.1' });
  const lastMs = clock.nowMs();
  await use('2001:db8::3');
  await access.close();
  expect(await stored()).toMatchObject({ last_used_address: '2001:db8::3', last_used_at: new Date(lastMs) });
});

test('a stream is ended by the clock when its key or its overlap ends, without anybody telling', async () => {
  const { epoch, access, issue, clock } = await openWorld();
  const expiring = await issue({ expiresAt: new Date(clock.nowMs() + 10_000) });
  const rotating = await issue();
  const ended: string[] = [];
  const open = async (plaintext: string, name: string) => {
    const principal = await access.authenticateKey(plaintext, HOME);
    access.watch(principal, (reason) => ended.push(`${name} ${reason.code}`), HOME);
    return principal;
  };
  await open(expiring.plaintext, 'expiring');
  const principal = await open(rotating.plaintext, 'rotating');
  const rotated = await access.rotate(principal, { overlapSeconds: 20, address: HOME, requestId: systemIds.uuid() });
  await open(rotated.key, 'rotated');
  // In steps, and with nothing under way, so that the directory keeps in touch and its lease holds.
  const pass = async (ms: number) => {
    await Promise.all([
      access.authenticateKey(rotated.key, HOME),
      codeOf(() => access.authenticateKey(expiring.plaintext, HOME)),
    ]);
    await settle();
    clock.advance(ms);
    await epoch.announceChange();
  };
  for (let step = 0; step < 9; step += 1) await pass(1_000);
  await pass(999);
  expect(ended).toEqual([]);
  await pass(1);
  await expect.poll(() => ended).toEqual(['expiring invalid-token']);
  for (let step = 0; step < 9; step += 1) await pass(1_000);
  await pass(999);
  expect(ended).toEqual(['expiring invalid-token']);
  await pass(1);
  await expect.poll(() => ended).toEqual(['expiring invalid-token', 'rotating invalid-token']);
});

test('the next token signing key is published ten minutes before it signs, and the old one goes 31 minutes after', async () => {
  const { epoch, database, access, issue, clock } = await openWorld();
  const { plaintext } = await issue();
  const kidOf = async () => {
    const { accessToken } = await access.exchange('customer', plaintext, HOME);
    return {
      kid: JSON.parse(Buffer.from(accessToken.split('.')[0]!, 'base64url').toString()).kid as string,
      accessToken,
    };
  };
  const published = () => access.jwks().keys.map(({ kid }) => kid);
  const step = async (ms: number) => {
    clock.advance(ms);
    await settle();
    await epoch.announceChange();
  };
  const old = await kidOf();
  expect(published()).toEqual([old.kid]);
  await rotateSigningKey(database, clock.nowMs(), 1800);
  await epoch.announceChange();
  await expect.poll(published).toHaveLength(2);
  await step(599_999);
  const last = await kidOf();
  expect(last.kid).toBe(old.kid);
  await step(1);
  const fresh = await kidOf();
  expect(fresh.kid).toBe(published()[1]);
  // Tokens begin at a whole second: this one at 599 s, so it is good until just before 2,399 s.
  await step(1_798_000);
  expect(await codeOf(() => access.authenticate(last.accessToken, HOME))).toBe('admitted');
  await step(61_999);
  expect(published()).toHaveLength(2);
  await step(1);
  expect(published()).toEqual([fresh.kid]);
});

test('whatever an admin asks for, a key that is made has no right its creator has not', async () => {
  const { database, parts, access, organizationId } = await openWorld();
  const at = new Date(parts.clock.nowMs());
  const rivalId = systemIds.uuid();
  await insertOrganization(database.owner, { id: rivalId, slug: 'rival', name: 'Rival', kind: 'customer', at });
  const plant = async (owner: string) => {
    const id = systemIds.uuid();
    await database.owner
      .insertInto('asset')
      .values({
        id,
        organization_id: owner,
        kind: 'plant',
        fleet_id: null,
        vin: null,
        vin_check: null,
        name: 'P',
        unit_number: null,
        serial_number: null,
        created_at: at,
        updated_at: at,
      })
      .execute();
    return id;
  };
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
  const order = fc.record({
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
    allowedPlantIds: fc.oneof(fc.constant(null), fc.uniqueArray(fc.constantFrom(...own, foreign), { maxLength: 3 })),
    expiresAt: fc.oneof(
      fc.constant(null),
      fc.integer({ min: -100_000, max: 100_000 }).map((ms) => new Date(at.getTime() + ms).toISOString()),
    ),
  });
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
        const networks = created.apiKey.allowedIps.length === 0 ? null : createNetworks(created.apiKey.allowedIps);
        expect(typeof use === 'string' ? use : 'admitted').toBe(
          networks === null || networks.has(address) ? 'admitted' : 'address-not-allowed',
        );
        if (typeof use === 'string') return;
        expect(use.organizationId).toBe(by.organizationId);
        expect(use.organizationKind).toBe(by.organizationKind);
        expect([...use.scopes].every((scope) => asked.scopes.includes(scope))).toBe(true);
        expect(use.scopes.has('telemetry:write') && use.audience !== 'partner').toBe(false);
        if (asked.allowedPlantIds !== null)
          expect([...(use.plantIds ?? ['every plant'])].sort()).toEqual([...asked.allowedPlantIds].sort());
        expect(use.plantIds?.has(foreign) ?? false).toBe(false);
        if (asked.expiresAt !== null) expect(use.tokenExpiresAtMs).toBe(Date.parse(asked.expiresAt));
      },
    ),
    { numRuns: 400 },
  );
  expect(made).toBeGreaterThan(50);
});

/** Lets whatever is under way with the real database get there. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
