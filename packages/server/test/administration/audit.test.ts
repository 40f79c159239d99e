import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { SYSTEM_ORIGIN } from '../../src/access/principal.ts';
import { CHAIN_START, hashEvent, recordAudit } from '../../src/audit/chain.ts';
import { REFUSAL_WINDOW_MS, type Refusal, WINDOWS_PER_ORGANIZATION_MAX } from '../../src/audit/refusal-windows.ts';
import { openRefusals } from '../../src/audit/refused-access.ts';
import { listAudit, verifyChain } from '../../src/audit/verify.ts';
import type { Database } from '../../src/database/database.ts';
import { findOperatorId } from '../../src/organizations/operator.ts';
import { insertOrganization } from '../../src/organizations/store.ts';
import { openTestApp } from '../app.ts';
import { openTestDatabase } from '../database.ts';
import { createSubscription, subscribe } from '../live-feed.ts';
import { createManualClock } from '../manual-clock.ts';
import { addPerson, PASSWORD, personToken, send, signIn } from '../people.ts';

const at = new Date(Date.UTC(2026, 10, 20, 12));

async function openChain(events: number) {
  const database = await openTestDatabase();
  const organizationId = systemIds.uuid();
  await insertOrganization(database.system, { id: organizationId, slug: 'one', name: 'One', kind: 'customer', at });
  for (let n = 1; n <= events; n += 1)
    await record(database, organizationId, { n, text: 'ü "\u2028 \ud800', nested: { b: [1.5, null], a: true } });
  return { database, organizationId, verify: () => verifyChain(database, organizationId) };
}

function record(database: Database, organizationId: string, details: Record<string, unknown>) {
  const target = { kind: 'thing', id: 'x' };
  return database.within(organizationId, (trx) =>
    recordAudit(trx, { ...SYSTEM_ORIGIN, organizationId, action: 'thing.changed', target, details, at }),
  );
}

/** As somebody who owns the tables and takes the trigger away. */
async function tamper(database: Database, work: () => Promise<unknown>): Promise<void> {
  await sql`alter table audit_event disable trigger all; alter table audit_head disable trigger all`.execute(
    database.owner,
  );
  // The owner of tables is held by row-level security too, unless it is a superuser.
  await work();
  await sql`alter table audit_event enable trigger all; alter table audit_head enable trigger all`.execute(
    database.owner,
  );
}

test('a whole chain verifies, and its last hash is the hash of all before it', async () => {
  const { verify } = await openChain(7);
  expect(await verify()).toMatchObject({ events: 7, broken: null });
  expect((await (await openChain(0)).verify()).head).toBe(CHAIN_START.toString('hex'));
});

test('an event that was altered is pinpointed, whichever of its columns it was', async () => {
  const { database, verify } = await openChain(5);
  const columns = [
    "at = at + interval '1 ms'",
    "actor_kind = 'anonymous'",
    'actor_id = gen_random_uuid()',
    "action = 'thing.made'",
    "target_kind = 'other'",
    "target_id = 'y'",
    "address = '::1'",
    'request_id = gen_random_uuid()',
    `details = '{"n": 4}'`,
    "hash = sha256('')",
  ];
  for (const change of columns) {
    const before = await sql<Record<string, unknown>>`select * from audit_event where sequence = 3`.execute(
      database.owner,
    );
    await tamper(database, () =>
      sql`update audit_event set ${sql.raw(change)} where sequence = 3`.execute(database.owner),
    );
    expect([change, (await verify()).broken?.sequence]).toEqual([change, 3]);
    const row = before.rows[0]! as any;
    await tamper(database, () =>
      sql`update audit_event set at = ${row.at}, actor_kind = ${row.actor_kind}, actor_id = ${row.actor_id}, action = ${row.action}, target_kind = ${row.target_kind},
        target_id = ${row.target_id}, address = ${row.address}, request_id = ${row.request_id}, details = ${JSON.stringify(row.details)}, hash = ${row.hash} where sequence = 3`.execute(
        database.owner,
      ),
    );
    expect((await verify()).broken).toBeNull();
  }
});

test('an event that was removed is pinpointed: the first, one in the middle, and the last', async () => {
  for (const sequence of [1, 3, 5]) {
    const { database, verify } = await openChain(5);
    await tamper(database, () => sql`delete from audit_event where sequence = ${sequence}`.execute(database.owner));
    expect((await verify()).broken).toMatchObject({ sequence });
  }
});

test('an event that was slipped in is pinpointed, even with a hash that fits', async () => {
  const { database, organizationId, verify } = await openChain(3);
  const { rows } = await sql<{ hash: Buffer }>`select hash from audit_event where sequence = 3`.execute(database.owner);
  const event = {
    organizationId,
    sequence: 4,
    at: at.toISOString(),
    actor: { kind: 'system', id: null },
    action: 'thing.forged',
    target: null,
    address: null,
    requestId: null,
    details: {},
  } as const;
  const values = {
    organization_id: organizationId,
    sequence: 4,
    at,
    actor_kind: 'system',
    actor_id: null,
    action: 'thing.forged',
    target_kind: null,
    target_id: null,
    address: null,
    request_id: null,
    details: '{}',
    hash: hashEvent(rows[0]!.hash, event),
  } as const;
  await tamper(database, () => database.owner.insertInto('audit_event').values(values).execute());
  expect((await verify()).broken).toEqual({ sequence: 4, why: 'the event was added after the end of the chain' });
});

test('the roles that the server works as can neither change nor remove an event, nor turn the chain back', async () => {
  const { database, organizationId, verify } = await openChain(2);
  const statements = [
    "update audit_event set action = 'x.y'",
    'delete from audit_event',
    'truncate audit_event',
    'delete from audit_head',
    'update audit_head set sequence = 1',
    'update audit_head set sequence = sequence, hash = hash',
  ];
  for (const statement of statements) {
    for (const attempt of [
      () => database.within(organizationId, (db) => sql.raw(statement).execute(db)),
      () => sql.raw(statement).execute(database.system),
      // And whoever owns the tables has to take the triggers away first.
      () => sql.raw(statement).execute(database.owner),
    ]) {
      await expect(attempt(), statement).rejects.toMatchObject({ code: '42501' });
    }
  }
  expect((await verify()).broken).toBeNull();
});

test('events of many writers at once stand in one chain without gaps, and a change that fails leaves none', async () => {
  const { database, organizationId, verify } = await openChain(0);
  await Promise.all(Array.from({ length: 40 }, (_, n) => record(database, organizationId, { n })));
  const failing = database.within(organizationId, async (trx) => {
    await recordAudit(trx, {
      ...SYSTEM_ORIGIN,
      organizationId,
      action: 'thing.changed',
      target: null,
      details: {},
      at,
    });
    throw new Error('the change fails');
  });
  await expect(failing).rejects.toThrow('the change fails');
  expect(await verify()).toMatchObject({ events: 40, broken: null });
});

test('details that hold or name a secret are refused, so that none is ever chained', async () => {
  const { database, organizationId, verify } = await openChain(0);
  const secrets = [
    { password: 'x' },
    { nested: [{ newPassword: 'x' }] },
    { signingKey: 'x' },
    { note: `gladhand_session_${'A'.repeat(43)}` },
    { note: `gladhand_${'A'.repeat(12)}_${'B'.repeat(49)}` },
    { note: '$argon2id$v=19$' },
  ];
  for (const details of secrets) await expect(record(database, organizationId, details)).rejects.toThrow(/secret/);
  await record(database, organizationId, { newPassword: true, keyPrefix: 'gladhand_AAAAAAAAAAAA' });
  expect((await verify()).events).toBe(1);
});

test('every administrative act is in the log of its organization: who, what, when, from where, by which request', async () => {
  const world = await openTestApp();
  const admin = await addPerson(world, world.customerId, 'ADMIN');
  const token = await signIn(world, admin);
  const as = (method: string, path: string, body?: unknown) =>
    send(world, method, `/organizations/customer${path}`, body, token);
  const user = (await as('POST', '/users', { email: 'u@example.com', name: 'U', role: 'VIEWER', password: PASSWORD }))
    .json.id;
  await as('PATCH', `/users/${user}`, { role: 'OPERATOR', password: 'another long password' });
  await as('DELETE', `/users/${user}`);
  const fleet = (await as('POST', '/fleets', { name: 'F' })).json.id;
  await as('PATCH', `/fleets/${fleet}`, { name: 'G' });
  const last = await as('DELETE', `/fleets/${fleet}`);
  await as('DELETE', `/fleets/${fleet}`);
  await as('PATCH', '', { name: 'Renamed' });
  await send(
    world,
    'PUT',
    '/auth/password',
    { currentPassword: PASSWORD, newPassword: 'another long password' },
    token,
  );
  const { data } = (await as('GET', '/audit')).json;
  expect(data.map(({ action }: { action: string }) => action).reverse()).toEqual([
    'session.opened',
    'user.created',
    'user.changed',
    'user.deactivated',
    'fleet.registered',
    'fleet.changed',
    'fleet.deactivated',
    'organization.changed',
    'user.password-changed',
  ]);
  expect(data.find(({ action }: { action: string }) => action === 'fleet.deactivated')).toMatchObject({
    actor: { kind: 'person', id: admin.id },
    target: { kind: 'fleet', id: fleet },
    address: '127.0.0.1',
    requestId: last.headers.get('x-request-id'),
    details: { isActive: false },
  });
  expect(data.find(({ action }: { action: string }) => action === 'user.changed').details).toEqual({
    role: 'OPERATOR',
    newPassword: true,
  });
  expect(JSON.stringify(data)).not.toMatch(/another long|correct horse|argon2/);
  expect(await verifyChain(world.app.backends.database, world.customerId)).toMatchObject({ events: 9, broken: null });

  const page = (await as('GET', '/audit?take=4')).json;
  const rest = (await as('GET', `/audit?take=10&next=${page.next}`)).json;
  expect([...page.data, ...rest.data].map(({ sequence }: { sequence: number }) => sequence)).toEqual([
    9, 8, 7, 6, 5, 4, 3, 2, 1,
  ]);
  expect((await as('GET', '/audit?action=fleet.changed')).json.data).toHaveLength(1);
  expect((await as('GET', '/audit?from=2030-01-01T00:00:00Z')).json.data).toEqual([]);
  expect((await as('GET', `/audit?action=fleet.changed&next=${page.next}`)).json.code).toBe('invalid-cursor');
});

test('refused access is in the log: of the caller’s organization, or of the operator’s when nobody was recognized', async () => {
  const world = await openTestApp();
  const [admin, viewer] = [
    await addPerson(world, world.customerId, 'ADMIN'),
    await addPerson(world, world.customerId, 'VIEWER'),
  ];
  const [token, session] = [await signIn(world, admin), await signIn(world, viewer)];
  const key = await world.token(world.customerId, 'customer', ['fleets:read']);
  await send(world, 'PATCH', '/organizations/customer', { name: 'X' }, session);
  await send(world, 'GET', '/organizations/rival', undefined, session);
  await world.call('GET', '/api/v1/trailers/x', { token: key });
  await send(world, 'POST', '/auth/sign-in', { email: viewer.email, password: 'wrong' });
  await send(world, 'GET', '/auth/me', undefined, `gladhand_session_${'B'.repeat(43)}`);
  const streams = new Client(`127.0.0.1:${world.app.grpcPort}`, credentials.createInsecure());
  onTestFinished(() => streams.close());
  for (const bearer of [key, 'nonsense']) {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${bearer}`);
    await createSubscription(subscribe(streams, {}, metadata)).ended;
  }
  const platform = await personToken(world, world.operatorId, 'ADMIN');
  const refused = async (organization: string, as: string) =>
    (await send(world, 'GET', `/organizations/${organization}/audit?action=access.refused`, undefined, as)).json.data
      .map(({ actor, target, details }: any) => [
        actor.kind,
        target?.id ?? null,
        details.code,
        details.route,
        details.count,
      ])
      .sort();
  await expect
    .poll(() => refused('customer', token), { timeout: 10_000 })
    .toEqual([
      ['anonymous', viewer.id, 'sign-in-refused', 'POST /api/v1/auth/sign-in', 1],
      ['key', null, 'missing-scope', 'GET /api/v1/trailers/:id', 1],
      ['key', null, 'missing-scope', 'LiveFeed/Subscribe', 1],
      ['person', null, 'forbidden', 'PATCH /api/v1/organizations/:organization', 1],
      ['person', null, 'not-found', 'GET /api/v1/organizations/:organization', 1],
    ]);
  await expect
    .poll(() => refused('operator', platform), { timeout: 10_000 })
    .toEqual([
      ['anonymous', null, 'invalid-token', 'GET /api/v1/auth/me', 1],
      ['anonymous', null, 'invalid-token', 'LiveFeed/Subscribe', 1],
      ['anonymous', null, 'sign-in-refused', 'POST /api/v1/auth/sign-in', 1],
    ]);
});

test('however much is refused, an organization’s log grows by a bounded number of events a minute, and nothing is left out of the count', async () => {
  const { database, organizationId } = await openChain(0);
  const clock = createManualClock(Date.UTC(2026, 10, 20));
  const refusals = openRefusals({
    database,
    clock,
    log: silentLogger,
    findOperatorId: () => findOperatorId(database.system),
  });
  const one = (n: number): Refusal => ({
    organizationId,
    actor: { kind: 'anonymous', id: null },
    target: null,
    code: 'invalid-token',
    route: 'GET /x',
    address: `198.51.100.${n}`,
    requestId: systemIds.uuid(),
  });
  for (let round = 0; round < 10; round += 1) for (let n = 0; n < 500; n += 1) refusals.note(one(n));
  const written = async () =>
    (
      await listAudit(database, organizationId, {
        fromMs: null,
        toMs: null,
        action: null,
        beforeSequence: null,
        take: 500,
      })
    ).items.map(({ event }) => event);
  await refusals.flush();
  expect(await written()).toHaveLength(WINDOWS_PER_ORGANIZATION_MAX + 1);
  for (let n = 0; n < 500; n += 1) refusals.note(one(n));
  await refusals.flush();
  expect(await written()).toHaveLength(WINDOWS_PER_ORGANIZATION_MAX + 1);
  clock.advance(REFUSAL_WINDOW_MS);
  await refusals.flush();
  const events = await written();
  expect(events).toHaveLength(2 * (WINDOWS_PER_ORGANIZATION_MAX + 1));
  expect(events.reduce((sum, { details }) => sum + Number(details.count), 0)).toBe(5_500);
  refusals.note(one(1));
  await refusals.close();
  expect(await written()).toHaveLength(2 * (WINDOWS_PER_ORGANIZATION_MAX + 1) + 1);
  expect((await verifyChain(database, organizationId)).broken).toBeNull();
});
