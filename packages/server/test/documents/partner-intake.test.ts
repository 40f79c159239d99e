import { decodeJwt, decodeProtectedHeader } from 'jose';
import { sql } from 'kysely';
import { beforeAll, expect, test } from 'vitest';
import { type Answer, CUSTOMER_SCOPES } from '../app.ts';
import { FLESPI, type LimitedWorld, openLimitedWorld, TRACCAR } from '../limits/limited-world.ts';

/** The document "Partner Integration API", sentence by sentence, as a partner would try it. */
const VIN = '1UYVS2533P7204518';
const OTHER = '1UYVS2535R3118640';
const JSON_TYPE = { 'content-type': 'application/json' };
const AUTHENTICATE = '/api/v1/partners/authenticate';
const ROTATE = '/api/v1/partners/rotate';
const INTAKE = `/api/v1/telemetry/intake/${VIN}`;

let world: LimitedWorld;

beforeAll(async () => {
  world = await openLimitedWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T-1' });
});

const customerToken = () => world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
const keyOf = (product = 'traccar') =>
  world.issueKey(world.operatorId, 'partner', ['telemetry:write', `product:${product}`]);
const trade = (key: string, headers: Record<string, string> = {}) =>
  world.call('POST', AUTHENTICATE, { headers: { 'x-api-key': key, ...headers } });
const tokenOf = async (product = 'traccar') => (await trade(await keyOf(product))).json.accessToken as string;
const send = (token: string, body = payload(), path = INTAKE, headers: Record<string, string> = JSON_TYPE) =>
  world.call('POST', path, { token, headers, body });
const rotate = (token: string, body?: string) =>
  world.call('PUT', ROTATE, { token, ...(body !== undefined && { body, headers: JSON_TYPE }) });

/** Of a moment ago, and of no other test. Receipts have the time of the system, which does not move. */
let made = 0;
function payload(): string {
  const fixTime = new Date(Date.now() - 60_000 + (made += 1)).toISOString();
  return TRACCAR.replace('2026-11-20T08:00:00Z', fixTime);
}

function expectProblem(answer: Answer, status: number): void {
  expect([answer.status, answer.json?.status]).toEqual([status, status]);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
}

test('1.1 POST /api/v1/partners/authenticate with X-API-KEY gives a JWT', async () => {
  const { status, json } = await trade(await keyOf());
  expect([status, json.tokenType]).toEqual([200, 'Bearer']);
  expect(decodeProtectedHeader(json.accessToken)).toMatchObject({ alg: 'Ed25519', typ: 'at+jwt' });
  expect(decodeJwt(json.accessToken)).toMatchObject({ aud: 'partner', iss: 'gladhand' });
});

test('1.2 the OpenAPI document and its pages are served', async () => {
  const document = await world.call('GET', '/openapi.json');
  for (const path of [AUTHENTICATE, ROTATE, '/api/v1/telemetry/intake/{vin}'])
    expect(document.json.paths).toHaveProperty([path]);
  expect((await world.call('GET', '/docs')).headers.get('content-type')).toMatch(/^text\/html/);
});

test('1.3 the token is valid for 1800 s, and good until it expires', async () => {
  const { json } = await trade(await keyOf());
  const { iat, exp } = decodeJwt(json.accessToken);
  expect([json.expiresIn, exp! - iat!]).toEqual([1_800, 1_800]);
  expect(Date.parse(json.expiresAt)).toBe(exp! * 1_000);
  await world.pass(1_790);
  expect((await send(json.accessToken)).status).toBe(202);
  await world.pass(20);
  expectProblem(await send(json.accessToken), 401);
});

test('1.4 POST /api/v1/telemetry/intake/{VIN} with Authorization: Bearer takes JSON and answers 202 Accepted', async () => {
  const token = await tokenOf();
  for (const path of [INTAKE, `${INTAKE}/`, INTAKE.replace(VIN, VIN.toLowerCase())]) {
    const { status, json, headers } = await send(token, payload(), path);
    expect([path, status, json.status]).toEqual([path, 202, 'queued']);
    expect(headers.get('location')).toBe(`/api/v1/telemetry/receipts/${json.receiptId}`);
  }
});

test('1.5 the product of the key decides what is taken, and by which mapping it is transformed', async () => {
  const [traccar, flespi] = [await tokenOf('traccar'), await tokenOf('flespi')];
  const seen = [];
  const at = Math.floor(Date.now() / 1000) - 60;
  for (const [token, body] of [
    [traccar, payload()],
    [flespi, FLESPI.replace('1795161600', String(at))],
  ] as const)
    seen.push((await world.settled(token, (await send(token, body)).json.receiptId)).product);
  expect(seen).toEqual(['traccar', 'flespi']);
  expectProblem(await send(traccar, FLESPI), 400);
  expectProblem(await send(flespi, payload()), 400);
});

test('1.6 the product stands in the token as product:<name>, and a token without one sends nothing', async () => {
  const { json } = await trade(await keyOf('flespi'));
  const claims = decodeJwt(json.accessToken);
  expect([claims.product, String(claims.scope).split(' ')]).toEqual(['flespi', ['telemetry:write', 'product:flespi']]);
  expect(json.scopes).toEqual(['telemetry:write', 'product:flespi']);
  const none = await world.token(world.operatorId, 'partner', ['telemetry:write']);
  expectProblem(await send(none), 403);
});

test('1.7 Content-Type: application/json is accepted on every POST, also without a body, and intake requires it', async () => {
  const key = await keyOf();
  for (const headers of [{}, JSON_TYPE, { 'content-type': 'application/json; charset=utf-8' }])
    expect((await trade(key, headers)).status).toBe(200);
  const token = (await trade(key)).json.accessToken as string;
  expect((await send(token)).status).toBe(202);
  expectProblem(await send(token, payload(), INTAKE, { 'content-type': 'text/plain' }), 415);
  expectProblem(await send(token, '', INTAKE), 400);
});

test('1.8 the curl commands of the quickstart work as they stand, with both APIs on one host or on two', async () => {
  const split = await openLimitedWorld({ 'authentication.ownPort': true, 'authentication.port': 0 });
  const key = await split.issueKey(split.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const traded = await fetch(`http://127.0.0.1:${split.app.authenticationPort}${AUTHENTICATE}`, {
    method: 'POST',
    headers: { 'X-API-KEY': key },
  });
  const { accessToken } = (await traded.json()) as { accessToken: string };
  expect((await split.submit(accessToken, VIN, { payload: payload() })).status).toBe(202);
});

test('1.9 ten authentications in five minutes, and rotation three times an hour', async () => {
  await world.beginWindow(3_600);
  let key = await keyOf();
  for (let left = 9; left >= 0; left -= 1) {
    const { status, headers } = await trade(key);
    expect([status, headers.get('ratelimit-policy')]).toEqual([200, '"authenticate";q=10;w=300']);
    expect(headers.get('ratelimit')).toMatch(new RegExp(`^"authenticate";r=${left};`));
  }
  expectProblem(await trade(key), 429);
  await world.pass(300);
  for (let left = 2; left >= 0; left -= 1) {
    const { status, json, headers } = await rotate((await trade(key)).json.accessToken);
    expect([status, headers.get('ratelimit-policy')]).toEqual([200, '"rotate";q=3;w=3600']);
    expect(headers.get('ratelimit')).toMatch(new RegExp(`^"rotate";r=${left};`));
    key = json.key;
  }
  expectProblem(await rotate((await trade(key)).json.accessToken), 429);
});

test('1.10 a token can be renewed before it expires: the old one stays good beside the new one', async () => {
  const key = await keyOf();
  const [old, fresh] = [await trade(key), await trade(key)];
  expect(old.json.accessToken).not.toBe(fresh.json.accessToken);
  for (const { json } of [old, fresh]) expect((await send(json.accessToken)).status).toBe(202);
});

test('1.11 202 is acknowledgment, not confirmation of processing: the receipt says what became of it', async () => {
  const token = await tokenOf();
  const { json } = await send(token);
  expect(json).toEqual({ receiptId: expect.any(String), receivedAt: expect.any(String), status: 'queued' });
  expect(await world.settled(token, json.receiptId)).toMatchObject({ status: 'processed', vin: VIN });
  const { json: page } = await world.call('GET', `/api/v1/trailers/telemetry/gps/${VIN}?order=desc&take=1`, {
    token: await customerToken(),
  });
  expect(page.data[0].receiptId).toBe(json.receiptId);
});

test('1.12 400 says what is wrong with the payload and where, so that it can be fixed before retrying', async () => {
  const answer = await send(await tokenOf(), '{"position":{"latitude":"north"},"device":{}}');
  expectProblem(answer, 400);
  expect(answer.json.errors.length).toBeGreaterThan(0);
  for (const { pointer, detail } of answer.json.errors)
    expect([pointer, detail]).toEqual([expect.stringMatching(/^\//), expect.stringMatching(/\w{2}/)]);
  expect(answer.json.retryable).toBe(false);
});

test('1.13 429 says how long to back off, and the same payload is taken then', async () => {
  await world.beginWindow(60);
  await world.setProductLimit('traccar', { limit: 1, windowSeconds: 60 });
  const token = await tokenOf();
  expect((await send(token)).status).toBe(202);
  const refused = await send(token);
  expectProblem(refused, 429);
  const waitSeconds = Number(refused.headers.get('retry-after'));
  expect(waitSeconds).toBeGreaterThan(0);
  expect(refused.json).toMatchObject({ code: 'rate-limited', retryable: true, limit: { name: 'intake' } });
  await world.pass(waitSeconds);
  expect((await send(token)).status).toBe(202);
  await world.setProductLimit('traccar', { limit: 300, windowSeconds: 60 });
});

test('1.14 401 for a missing or invalid JWT, 403 for insufficient permissions', async () => {
  const token = await tokenOf();
  const bare = (headers: Record<string, string>) =>
    world.call('POST', INTAKE, { headers: { ...JSON_TYPE, ...headers }, body: payload() });
  expectProblem(await bare({}), 401);
  expectProblem(await bare({ 'x-api-key': await keyOf() }), 401);
  expectProblem(await send(`${token}x`), 401);
  expectProblem(await send(await customerToken()), 403);
  expectProblem(await send(await world.token(world.operatorId, 'partner', ['product:traccar'])), 403);
});

test('1.15 PUT /api/v1/partners/rotate is protected by the JWT, and a compromised key is dead with its answer', async () => {
  const key = await keyOf();
  const token = (await trade(key)).json.accessToken as string;
  expectProblem(await world.call('PUT', ROTATE), 401);
  expectProblem(await world.call('PUT', ROTATE, { headers: { 'x-api-key': key } }), 401);
  expectProblem(await world.call('POST', ROTATE, { token }), 405);
  const { status, json } = await rotate(token);
  expect([status, json.key]).toEqual([200, expect.stringMatching(/^gladhand_/)]);
  expectProblem(await trade(key), 401);
  expectProblem(await send(token), 401);
  expect((await trade(json.key)).status).toBe(200);
});

test('1.16 500 is a problem to be quoted to support, without a word about the inside', async () => {
  const token = await tokenOf();
  const { owner } = world.app.backends.database;
  await sql`alter table idempotency rename to idempotency_away`.execute(owner);
  const answer = await send(token, payload(), INTAKE, { ...JSON_TYPE, 'idempotency-key': 'k' });
  await sql`alter table idempotency_away rename to idempotency`.execute(owner);
  expectProblem(answer, 500);
  expect(answer.json).toMatchObject({ code: 'internal-error', requestId: answer.headers.get('x-request-id') });
  expect(answer.text).not.toMatch(/idempotency|insert|relation|\.ts/);
});

test('1.17 the endpoints of the summary are there, with and without a trailing slash', async () => {
  for (const slash of ['', '/']) {
    const key = await keyOf();
    const traded = await world.call('POST', AUTHENTICATE + slash, { headers: { 'x-api-key': key } });
    expect(traded.status).toBe(200);
    expect((await send(traded.json.accessToken, payload(), INTAKE + slash)).status).toBe(202);
    expect((await world.call('PUT', ROTATE + slash, { token: traded.json.accessToken })).status).toBe(200);
  }
});

test('1.18 intake is limited per product and per VIN: no quota is shared', async () => {
  await world.beginWindow(60);
  for (const product of ['traccar', 'flespi']) await world.setProductLimit(product, { limit: 2, windowSeconds: 60 });
  const [traccar, flespi] = [await tokenOf('traccar'), await tokenOf('flespi')];
  const statuses = async (token: string, body: () => string, path: string) => {
    const found = [];
    for (let sent = 0; sent < 3; sent += 1) found.push((await send(token, body(), path)).status);
    return found;
  };
  expect(await statuses(traccar, payload, INTAKE)).toEqual([202, 202, 429]);
  expect(await statuses(traccar, payload, INTAKE.replace(VIN, OTHER))).toEqual([202, 202, 429]);
  expect(await statuses(flespi, () => FLESPI, INTAKE)).toEqual([202, 202, 429]);
});

test('1.19 the window is fixed: it counts regardless of spacing and begins anew on its boundary', async () => {
  await world.beginWindow(60);
  await world.setProductLimit('traccar', { limit: 2, windowSeconds: 60 });
  const token = await tokenOf();
  await world.pass(58);
  expect([(await send(token)).status, (await send(token)).status, (await send(token)).status]).toEqual([202, 202, 429]);
  await world.pass(2);
  expect((await send(token)).status).toBe(202);
  await world.pass(50);
  expect([(await send(token)).status, (await send(token)).status]).toEqual([202, 429]);
});

test('1.20 the limit is determined for each product, and every answer tells it', async () => {
  await world.beginWindow(3_600);
  await world.setProductLimit('traccar', { limit: 7, windowSeconds: 120 });
  const { headers } = await send(await tokenOf());
  expect(headers.get('ratelimit-policy')).toBe('"intake";q=7;w=120');
  expect(headers.get('ratelimit')).toMatch(/^"intake";r=6;t=\d+$/);
});
