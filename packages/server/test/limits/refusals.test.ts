import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { type Answer, CUSTOMER_SCOPES, openTestApp } from '../app.ts';
import { personToken, send } from '../people.ts';
import { describeLimited, type LimitedWorld, TRACCAR } from './limited-world.ts';

/** Only what was done uses up a limit; a guess at a key does too. What a refusal costs is seen in GET /limits. */
const VIN = '1UYVS2533P7204518';
const JSON_TYPE = { 'content-type': 'application/json' };

/** What is left of each limit of the key behind the token. */
async function left(world: LimitedWorld, token: string): Promise<Record<string, number>> {
  const { json } = await world.call('GET', `/api/v1/limits?vin=${VIN}`, { token });
  return Object.fromEntries(json.limits.map((limit: any) => [limit.name, limit.remaining]));
}

/** The remaining units that an answer itself tells. */
function told({ headers }: Answer): Record<string, number> {
  const items = (headers.get('ratelimit') ?? '').matchAll(/"([^"]+)";r=(\d+)/g);
  return Object.fromEntries([...items].map(([, name, units]) => [name, Number(units)]));
}

describeLimited('what is refused', (open) => {
  test('a rotation that is refused for its form uses up none of three an hour, and its answer says so', async () => {
    const world = await open();
    await world.beginWindow(3_600);
    const token = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
    const rotate = (body: string, headers: Record<string, string> = JSON_TYPE) =>
      world.call('PUT', '/api/v1/customers/rotate', { token, body, headers });
    const bad: [body: string, headers: Record<string, string>, code: string][] = [
      ['{"overlapSeconds":-1}', JSON_TYPE, 'validation-failed'],
      ['{"overlap":1}', JSON_TYPE, 'validation-failed'],
      ['[]', JSON_TYPE, 'validation-failed'],
      ['{', JSON_TYPE, 'malformed-json'],
      ['a=b', { 'content-type': 'text/plain' }, 'unsupported-media-type'],
      [`{"overlapSeconds":${' '.repeat(70_000)}1}`, JSON_TYPE, 'body-too-large'],
    ];
    for (const [body, headers, code] of bad) {
      const answer = await rotate(body, headers);
      expect([answer.json.code, told(answer)]).toEqual([code, { rotate: 3 }]);
    }
    expect(await left(world, token)).toMatchObject({ rotate: 3 });
    expect((await rotate('{"overlapSeconds":60}')).status).toBe(200);
    expect(await left(world, token)).toMatchObject({ rotate: 2 });
    // The old generation may not rotate, and does not use up what its owner needs.
    expect((await rotate('{}')).json.code).toBe('rotation-in-progress');
    expect(await left(world, token)).toMatchObject({ rotate: 2 });
  });

  test('intake that is refused, for whatever reason, leaves the quota of its VIN and of its product as it was', async () => {
    const world = await open();
    await world.beginWindow(3_600);
    await world.setProductLimit('traccar', {
      limit: 5,
      windowSeconds: 3_600,
      total: { limit: 9, windowSeconds: 3_600 },
    });
    const token = await world.partnerToken('traccar');
    const post = (body: string, headers: Record<string, string> = {}, vin = VIN) =>
      world.submit(token, vin, { payload: body, headers });
    expect((await post(TRACCAR, { 'idempotency-key': 'a' })).status).toBe(202);
    const bad: [status: number, answer: Answer][] = [
      [400, await post('{')],
      [400, await post('{"hello":"world"}')],
      [400, await post(TRACCAR, { 'content-encoding': 'gzip' })],
      [400, await post(TRACCAR, {}, 'SHORT')],
      [400, await post(TRACCAR, { 'idempotency-key': 'with space' })],
      [401, await post(TRACCAR, { signature: 'x=:AA==:', 'signature-input': 'x=();created=1' })],
      [
        404,
        await world.call('POST', '/api/v1/telemetry/intake/plants/x', { token, body: TRACCAR, headers: JSON_TYPE }),
      ],
      [413, await post(`"${'x'.repeat(1_048_577)}"`)],
      [415, await post(TRACCAR, { 'content-type': 'text/plain' })],
      [415, await post(TRACCAR, { 'content-encoding': 'compress' })],
      [422, await post(`${TRACCAR} `, { 'idempotency-key': 'a' })],
    ];
    for (const [status, answer] of bad) {
      expect([status, answer.status, answer.json.code]).toEqual([status, status, answer.json.code]);
      expect([answer.json.code, told(answer)['intake-total']]).toEqual([answer.json.code, 8]);
    }
    expect(await left(world, token)).toMatchObject({ intake: 4, 'intake-total': 8 });
    // What was done counts, also when it was done before.
    expect((await post(TRACCAR, { 'idempotency-key': 'a' })).status).toBe(202);
    expect(await left(world, token)).toMatchObject({ intake: 3, 'intake-total': 7 });
  });

  test('a read that is refused for its form costs nothing; one that finds nothing was a read', async () => {
    const world = await open();
    await world.setPlan({ readCapacity: 5, readRefillPerSecond: 0.001 });
    const token = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
    const read = (path: string) => world.call('GET', `/api/v1${path}`, { token });
    for (const path of ['/fleets?take=0', '/fleets?next=x', '/fleets?nonsense=1', '/telemetry/feed?signals=wheels']) {
      const answer = await read(path);
      expect([path, answer.status, told(answer).read]).toEqual([path, 400, 5]);
    }
    expect((await left(world, token)).read).toBe(5);
    expect(told(await read('/fleets/x')).read).toBe(4);
    expect(told(await read('/fleets')).read).toBe(3);
    expect((await left(world, token)).read).toBe(3);
  });

  test('of authentication only keys count, right and wrong ones: a try that is refused for its form is none', async () => {
    const world = await open();
    await world.beginWindow(300);
    const key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
    const wrong = await world.issueKey(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
    const path = '/api/v1/customers/authenticate';
    const trade = (apiKey: string, query = '') =>
      world.call('POST', path + query, { headers: { 'x-api-key': apiKey, ...JSON_TYPE } });
    for (let tried = 0; tried < 40; tried += 1) {
      expect((await trade(key, '?token=x')).json.code).toBe('credential-in-url');
      expect((await world.call('GET', path, { headers: { 'x-api-key': key } })).status).toBe(405);
      expect((await world.call('POST', path)).status).toBe(401);
    }
    const token = (await trade(key)).json.accessToken as string;
    expect(await left(world, token)).toMatchObject({ authenticate: 9, 'authenticate-failures': 30 });
    expect((await trade(wrong)).status).toBe(401);
    expect((await trade('nonsense')).status).toBe(401);
    expect(await left(world, token)).toMatchObject({ authenticate: 9, 'authenticate-failures': 28 });
  });
});

test('people too: a sign-in that the server could not look at is no failed attempt', async () => {
  const world = await openTestApp();
  const token = await personToken(world, world.customerId, 'ADMIN');
  const { json: me } = await send(world, 'GET', '/auth/me', undefined, token);
  const { owner } = world.app.backends.database;
  const signIn = (password: string) => send(world, 'POST', '/auth/sign-in', { email: me.email, password });
  await sql`alter table person rename to person_away`.execute(owner);
  for (let tried = 0; tried < 8; tried += 1) expect((await signIn('wrong')).status).toBeGreaterThanOrEqual(500);
  await sql`alter table person_away rename to person`.execute(owner);
  for (let tried = 0; tried < 5; tried += 1) expect((await signIn('wrong')).status).toBe(401);
  expect((await signIn('wrong')).status).toBe(429);
});
