import { expect, test } from 'vitest';
import { createMemoryLimits } from '../../src/limits/memory.ts';
import { createAttempts } from '../../src/people/attempt-limit.ts';
import { openTestApp, type TestApp } from '../app.ts';
import { createManualClock } from '../manual-clock.ts';
import { addPerson, comparable, PASSWORD, send, signIn, type TestPerson } from '../people.ts';

const MINUTE_MS = 60_000;

const trySignIn = (world: TestApp, email: string, password: string, headers: Record<string, string> = {}) =>
  send(world, 'POST', '/auth/sign-in', { email, password }, undefined, headers);
const me = (world: TestApp, token: string) => send(world, 'GET', '/auth/me', undefined, token);
const changed = (world: TestApp, person: TestPerson, change: Record<string, unknown>) =>
  world.app.backends.database.system.updateTable('person').set(change).where('id', '=', person.id).execute();

test('a person signs in with either case of their address and gets one session, as cookie and as bearer', async () => {
  const world = await openTestApp();
  const person = await addPerson(world, world.customerId, 'OPERATOR');
  const answer = await trySignIn(world, ` ${person.email.toUpperCase()} `, PASSWORD);
  expect(answer.status, answer.text).toBe(200);
  expect(answer.json).toMatchObject({
    tokenType: 'Bearer',
    expiresIn: 43_200,
    person: {
      id: person.id,
      role: 'OPERATOR',
      organizationId: world.customerId,
      organizationKind: 'customer',
      isPlatformOperator: false,
    },
  });
  const cookie = answer.headers.get('set-cookie')!;
  expect(cookie).toBe(`gladhand_session=${answer.json.accessToken}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict`);
  expect((await me(world, answer.json.accessToken)).json).toEqual(answer.json.person);
  const byCookie = await send(world, 'GET', '/auth/me', undefined, undefined, { cookie: cookie.split(';')[0]! });
  expect(byCookie.json).toEqual(answer.json.person);
});

test('only a digest of the session is stored, and no answer or row holds the token or the password', async () => {
  const world = await openTestApp();
  const token = await signIn(world, await addPerson(world, world.customerId, 'ADMIN'));
  const rows = await world.app.backends.database.system.selectFrom('session').selectAll().execute();
  expect(rows).toHaveLength(1);
  expect(rows[0]!.digest).toHaveLength(32);
  const audit = await world.app.backends.database.system.selectFrom('audit_event').selectAll().execute();
  const dump = JSON.stringify([rows, audit]);
  expect(dump).not.toContain(token.slice(-43));
  expect(dump).not.toContain(PASSWORD);
});

test('an unknown address, a wrong password, a person without a password and a deactivated one get one answer', async () => {
  const world = await openTestApp();
  const [known, inactive, vouched] = [
    await addPerson(world, world.customerId, 'VIEWER'),
    await addPerson(world, world.customerId, 'VIEWER'),
    await addPerson(world, world.customerId, 'VIEWER'),
  ];
  await changed(world, inactive, { is_active: false });
  await changed(world, vouched, { password_hash: null });
  const answers = [
    await trySignIn(world, known.email, 'not the password'),
    await trySignIn(world, 'nobody@example.com', PASSWORD),
    await trySignIn(world, 'no address at all', PASSWORD),
    await trySignIn(world, 'nul\u0000@example.com', PASSWORD),
    await trySignIn(world, inactive.email, PASSWORD),
    await trySignIn(world, vouched.email, PASSWORD),
  ];
  expect(new Set(answers.map(comparable))).toHaveLength(1);
  expect(answers[0]!.json).toMatchObject({ status: 401, code: 'sign-in-refused' });
});

test('the sixth failure for an account from one address waits for the next quarter of an hour, whatever the password, and says how long', async () => {
  const clock = createManualClock(Math.ceil(Date.now() / (15 * MINUTE_MS)) * 15 * MINUTE_MS);
  const world = await openTestApp({ clock });
  const [person, other] = [
    await addPerson(world, world.customerId, 'VIEWER'),
    await addPerson(world, world.customerId, 'VIEWER'),
  ];
  for (let n = 0; n < 5; n += 1) expect((await trySignIn(world, person.email, `wrong ${n}`)).status).toBe(401);
  const refused = await trySignIn(world, person.email.toUpperCase(), PASSWORD);
  expect(refused.json).toMatchObject({ status: 429, code: 'too-many-attempts', retryable: true });
  expect(refused.headers.get('retry-after')).toBe('900');
  expect((await trySignIn(world, other.email, PASSWORD)).status).toBe(200);
  clock.advance(15 * MINUTE_MS);
  expect((await trySignIn(world, person.email, PASSWORD)).status).toBe(200);
});

test('a burst of wrong passwords verifies no more than the limit, however many come at once', async () => {
  const world = await openTestApp();
  const person = await addPerson(world, world.customerId, 'VIEWER');
  const answers = await Promise.all(Array.from({ length: 25 }, (_, n) => trySignIn(world, person.email, `wrong ${n}`)));
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(5);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
});

test('attempts are limited per address over all accounts, an IPv6 /64 counts as one address, and a success is given back', async () => {
  const clock = createManualClock();
  const attempts = createAttempts(createMemoryLimits({ clock }));
  for (let n = 0; n < 50; n += 1) await (await attempts.begin(`own-${n}`, '198.51.100.7')).succeed();
  for (let n = 0; n < 20; n += 1) await attempts.begin(`account-${n}`, `2001:db8::${n}:1`);
  await expect(attempts.begin('another', '2001:db8:0:0:ffff::1')).rejects.toThrow(
    expect.objectContaining({ code: 'too-many-attempts' }),
  );
  await attempts.begin('another', '2001:db8:0:1::1');
  await attempts.begin('another', '::ffff:198.51.100.7');
  clock.advance(15 * MINUTE_MS);
  await attempts.begin('another', '2001:db8::1');
});

test('a session that was handed to the browser before signing in is never taken over, and the one it had ends', async () => {
  const world = await openTestApp();
  const [attacker, victim] = [
    await addPerson(world, world.rivalId, 'VIEWER'),
    await addPerson(world, world.customerId, 'VIEWER'),
  ];
  const planted = `gladhand_session_${'A'.repeat(43)}`;
  const attackers = await signIn(world, attacker);
  for (const token of [planted, attackers]) {
    const answer = await trySignIn(world, victim.email, PASSWORD, { cookie: `gladhand_session=${token}` });
    expect(answer.json.accessToken).not.toBe(token);
    expect((await me(world, answer.json.accessToken)).json.id).toBe(victim.id);
    expect((await me(world, token)).status).toBe(401);
  }
});

test('with the cookie, only our own pages change something; scripts use the bearer', async () => {
  const world = await openTestApp();
  const person = await addPerson(world, world.customerId, 'ADMIN');
  const cookie = `gladhand_session=${await signIn(world, person)}`;
  const post = (headers: Record<string, string>) =>
    send(world, 'PATCH', '/organizations/customer', { name: 'New' }, undefined, { cookie, ...headers });
  for (const headers of [
    {},
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site', origin: world.base },
  ] as Record<string, string>[]) {
    expect((await post(headers)).json).toMatchObject({ status: 403, code: 'cross-site-request' });
  }
  expect((await post({ 'sec-fetch-site': 'same-origin' })).status).toBe(200);
  expect((await post({ origin: world.base })).status).toBe(200);
  expect((await trySignIn(world, person.email, PASSWORD, { 'sec-fetch-site': 'cross-site' })).json.code).toBe(
    'cross-site-request',
  );
});

test('the cookie is Secure over https, as a trusted proxy tells, and nobody else is believed', async () => {
  const behindProxy = await openTestApp({ flags: { 'http.trustedProxies': ['127.0.0.1'] } });
  const person = await addPerson(behindProxy, behindProxy.customerId, 'VIEWER');
  const secure = await trySignIn(behindProxy, person.email, PASSWORD, {
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '203.0.113.5',
  });
  expect(secure.headers.get('set-cookie')).toMatch(/; Secure$/);
  const open = await openTestApp();
  const other = await addPerson(open, open.customerId, 'VIEWER');
  expect(
    (await trySignIn(open, other.email, PASSWORD, { 'x-forwarded-proto': 'https' })).headers.get('set-cookie'),
  ).not.toContain('Secure');
});

test('sign-out ends the session at once and takes the cookie away', async () => {
  const world = await openTestApp();
  const token = await signIn(world, await addPerson(world, world.customerId, 'VIEWER'));
  const answer = await send(world, 'POST', '/auth/sign-out', undefined, token);
  expect(answer.status).toBe(204);
  expect(answer.headers.get('set-cookie')).toContain('gladhand_session=; Path=/; Max-Age=0');
  expect((await me(world, token)).json.code).toBe('invalid-token');
});

test('a session ends after two hours without a request, and after twelve hours whatever happens', async () => {
  const clock = createManualClock(Date.now());
  const world = await openTestApp({ clock });
  const person = await addPerson(world, world.customerId, 'VIEWER');
  const [idle, busy] = [await signIn(world, person), await signIn(world, person)];
  for (let passed = 0; passed < 11 * 60; passed += 60) {
    clock.advance(60 * MINUTE_MS);
    expect((await me(world, busy)).status).toBe(200);
  }
  expect((await me(world, idle)).status).toBe(401);
  clock.advance(60 * MINUTE_MS);
  expect((await me(world, busy)).status).toBe(401);
});

test('a new password ends the other sessions and keeps this one; the old password is worth nothing', async () => {
  const world = await openTestApp();
  const person = await addPerson(world, world.customerId, 'VIEWER');
  const [own, other] = [await signIn(world, person), await signIn(world, person)];
  const put = (currentPassword: string, newPassword: string) =>
    send(world, 'PUT', '/auth/password', { currentPassword, newPassword }, own);
  expect((await put('wrong', 'a new password')).json).toMatchObject({
    status: 403,
    code: 'wrong-password',
    errors: [{ pointer: '/currentPassword' }],
  });
  expect((await put(PASSWORD, 'too short')).json).toMatchObject({ status: 400, errors: [{ pointer: '/newPassword' }] });
  expect((await put(PASSWORD, 'a new password')).status).toBe(204);
  expect((await me(world, own)).status).toBe(200);
  expect((await me(world, other)).status).toBe(401);
  expect((await trySignIn(world, person.email, PASSWORD)).status).toBe(401);
  expect((await trySignIn(world, person.email, 'a new password')).status).toBe(200);
});

test('a deactivation and a new role made on another node count here within two seconds, without a doorbell', async () => {
  const clock = createManualClock(Date.now());
  const world = await openTestApp({ clock });
  const person = await addPerson(world, world.customerId, 'VIEWER');
  const token = await signIn(world, person);
  expect((await me(world, token)).json.role).toBe('VIEWER');
  await changed(world, person, { role: 'ADMIN' });
  clock.advance(2_000);
  expect((await me(world, token)).json.role).toBe('ADMIN');
  await changed(world, person, { is_active: false });
  clock.advance(2_000);
  expect((await me(world, token)).json.code).toBe('invalid-token');
});

test('a node that cannot read the database admits nobody it has not just seen', async () => {
  const clock = createManualClock(Date.now());
  const world = await openTestApp({ clock });
  const token = await signIn(world, await addPerson(world, world.customerId, 'VIEWER'));
  expect((await me(world, token)).status).toBe(200);
  const { owner } = world.app.backends.database;
  const { sql } = await import('kysely');
  await sql`alter table access_epoch rename to access_epoch_away`.execute(owner);
  clock.advance(2_000);
  expect((await me(world, token)).status).toBeGreaterThanOrEqual(500);
  await sql`alter table access_epoch_away rename to access_epoch`.execute(owner);
  expect((await me(world, token)).status).toBe(200);
});

test('a session is no API key and an API key no session: each is refused where the other belongs', async () => {
  const world = await openTestApp();
  const session = await signIn(world, await addPerson(world, world.customerId, 'ADMIN'));
  const key = await world.token(world.customerId, 'customer', ['fleets:read']);
  expect((await world.call('GET', '/api/v1/fleets', { token: session })).json.code).toBe('forbidden');
  expect((await send(world, 'GET', '/organizations', undefined, key)).json.code).toBe('forbidden');
  for (const path of ['/auth/me?access_token=x', '/organizations?token=x']) {
    expect((await send(world, 'GET', path, undefined, session)).json.code).toBe('credential-in-url');
  }
});
