import { expect, test } from 'vitest';
import { openTestApp } from '../app.ts';
import { createManualClock } from '../manual-clock.ts';
import { CLIENT, createBrowser, openLocalProvider } from '../oidc.ts';
import { addPerson, send } from '../people.ts';

const START = '/api/v1/auth/oidc/start';
const CALLBACK = '/api/v1/auth/oidc/callback';

async function openWorld() {
  const provider = await openLocalProvider();
  const clock = createManualClock(Date.now());
  const world = await openTestApp({
    clock,
    flags: {
      'oidc.issuer': provider.issuer,
      'oidc.clientId': CLIENT.clientId,
      'oidc.clientSecret': CLIENT.clientSecret,
    },
  });
  await provider.allow(world.base + CALLBACK);
  const person = await addPerson(world, world.customerId, 'OPERATOR');
  provider.person = { email: person.email.toUpperCase(), isVerified: true };
  const atCallback = (url: URL) => url.pathname === CALLBACK;
  return { provider, clock, world, person, atCallback };
}

test('a person whose address the provider verifies is signed in, with a session cookie, and led to the start page', async () => {
  const { world, person } = await openWorld();
  const browser = createBrowser();
  const end = await browser.follow(world.base + START, (url) => url.href === `${world.base}/`);
  expect(end.url.href).toBe(`${world.base}/`);
  const token = browser.cookie(world.base, 'gladhand_session')!;
  expect((await send(world, 'GET', '/auth/me', undefined, token)).json).toMatchObject({
    id: person.id,
    role: 'OPERATOR',
  });
  expect(browser.cookie(world.base, 'gladhand_oidc')).toBeUndefined();
});

test('nobody is made or let in: an unknown, unverified or deactivated person is refused', async () => {
  const { world, provider, person } = await openWorld();
  const attempt = async () => (await createBrowser().follow(world.base + START)).response!;
  for (const claimed of [
    { email: 'stranger@example.com', isVerified: true },
    { email: person.email, isVerified: false },
  ]) {
    provider.person = claimed;
    const answer = await attempt();
    expect([answer.status, answer.headers.get('set-cookie')]).toEqual([401, null]);
    expect(((await answer.json()) as { code: string }).code).toBe('sign-in-refused');
  }
  provider.person = { email: person.email, isVerified: true };
  await world.app.backends.database.system
    .updateTable('person')
    .set({ is_active: false })
    .where('id', '=', person.id)
    .execute();
  expect((await attempt()).status).toBe(401);
  expect(await world.app.backends.database.system.selectFrom('person').select('id').execute()).toHaveLength(1);
});

test('an answer counts only once, in the browser that asked, unchanged, and for ten minutes', async () => {
  const { world, clock, atCallback } = await openWorld();
  const status = async (browser: ReturnType<typeof createBrowser>, url: string) =>
    (await browser.follow(url, (at) => at.href === `${world.base}/`)).response?.status ?? 302;
  const [victim, attacker] = [createBrowser(), createBrowser()];
  const answer = (await attacker.follow(world.base + START, atCallback)).url.href;
  // Without a start of its own, with the start of another sign-in, with a changed state.
  expect(await status(victim, answer)).toBe(401);
  await victim.follow(world.base + START, atCallback);
  expect(await status(victim, answer)).toBe(401);
  expect(await status(attacker, answer.replace(/state=[^&]+/, 'state=other'))).toBe(401);
  const fresh = (await attacker.follow(world.base + START, atCallback)).url.href;
  expect(await status(attacker, fresh)).toBe(302);
  expect(await status(attacker, fresh)).toBe(401);
  const late = (await victim.follow(world.base + START, atCallback)).url.href;
  clock.advance(10 * 60_000);
  expect(await status(victim, late)).toBe(401);
});

test('without a configured provider its routes say so, and one that is away is told as such without stopping the server', async () => {
  const world = await openTestApp();
  for (const path of [START, CALLBACK])
    expect((await world.call('GET', path)).json).toMatchObject({ status: 404, code: 'not-found' });
  const away = await openTestApp({ flags: { 'oidc.issuer': 'http://127.0.0.1:9', 'oidc.clientId': 'x' } });
  expect((await away.call('GET', START)).json).toMatchObject({ status: 503, code: 'temporarily-unavailable' });
});
