import { sql } from 'kysely';
import { beforeAll, expect, test } from 'vitest';
import { type Answer, openTestApp, type TestApp } from '../app.ts';
import { addPerson, personToken, send, signIn, type TestPerson } from '../people.ts';

/** The document of partner API keys, row by row, as an organization's admin would try it. */
const KEYS = '/partner/api-keys';
const UNKNOWN = '01920000-0000-7000-8000-000000000000';
const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;
/** The body of the document's example, as it stands. */
const ORDER = { name: 'string', partnerId: 'string', scopes: ['plants:read', 'telemetry:read'] };

let world: TestApp;
let person: TestPerson;
let admin: string;

beforeAll(async () => {
  world = await openTestApp();
  person = await addPerson(world, world.customerId, 'ADMIN');
  admin = await signIn(world, person);
});

const as = (token: string) => (method: string, path: string, body?: unknown) => send(world, method, path, body, token);
const ask = (method: string, path: string, body?: unknown) => as(admin)(method, path, body);
const create = async (more: object = {}) => {
  const made = await ask('POST', KEYS, { ...ORDER, ...more });
  expect(made.status, made.text).toBe(201);
  return made.json;
};
const trade = (key: string) => world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } });

/** The document's error rows; `statusCode` is the true status, where its samples have 400 throughout. */
function expectEnvelope(answer: Answer, statusCode: number, error: string, code: string): void {
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  expect([answer.status, Object.keys(answer.json).sort()]).toEqual([
    statusCode,
    ['code', 'details', 'error', 'message', 'statusCode'],
  ]);
  expect(answer.json).toMatchObject({
    code,
    error,
    statusCode,
    message: expect.stringMatching(/^[A-Z].+/),
    details: {},
  });
}

/** Field by field, as the document's sample of a key has them. */
function expectKey(key: any): void {
  expect(key).toMatchObject({
    id: expect.stringMatching(UUID),
    name: expect.any(String),
    partnerId: expect.any(String),
    organizationId: world.customerId,
    keyPrefix: expect.stringMatching(/^gladhand_/),
    isActive: expect.any(Boolean),
    vhost: `partner-${key.id}`,
    createdBy: person.id,
    createdAt: expect.stringMatching(INSTANT),
    updatedAt: expect.stringMatching(INSTANT),
    creator: {
      id: person.id,
      email: person.email,
      name: expect.any(String),
      role: 'ADMIN',
      createdAt: expect.stringMatching(INSTANT),
      updatedAt: expect.stringMatching(INSTANT),
    },
  });
  for (const list of [key.scopes, key.allowedIps]) for (const item of list) expect(item).toEqual(expect.any(String));
  for (const instant of [key.expiresAt, key.lastUsedAt]) if (instant !== null) expect(instant).toMatch(INSTANT);
}

test('3.1 GET /api/v1/partner/api-keys lists the keys of the organization, field by field, also without any parameter', async () => {
  await create({ allowedIps: ['203.0.113.5/32'], expiresAt: '2119-08-24T14:15:22Z' });
  for (const path of [KEYS, `${KEYS}/`]) {
    const { status, json } = await ask('GET', path);
    expect(status).toBe(200);
    expect(Object.keys(json).sort()).toEqual(['data', 'meta']);
    expect(Object.keys(json.meta).sort()).toEqual(['limit', 'page', 'total', 'totalPages']);
    for (const key of json.data) expectKey(key);
    expect(json.data[0]).toMatchObject({ allowedIps: ['203.0.113.5/32'], expiresAt: '2119-08-24T14:15:22.000Z' });
  }
  const rival = as(await personToken(world, world.rivalId, 'ADMIN'));
  expect((await rival('GET', KEYS)).json.meta.total).toBe(0);
});

test('3.2 page is from 1 and 1 when left out; limit is 1 to 100 and 20 when left out', async () => {
  for (let made = 0; made < 22; made += 1) await create();
  const { json: first } = await ask('GET', KEYS);
  const { total } = first.meta;
  expect(first.meta).toEqual({ limit: 20, page: 1, total, totalPages: Math.ceil(total / 20) });
  expect(first.data).toHaveLength(20);
  const { json: second } = await ask('GET', `${KEYS}?page=2`);
  expect([second.meta.page, second.data.length]).toEqual([2, total - 20]);
  const idsOf = (page: any) => page.data.map(({ id }: any) => id);
  expect(new Set([...idsOf(first), ...idsOf(second)]).size).toBe(total);
  for (const limit of [1, 100]) {
    const { json } = await ask('GET', `${KEYS}?limit=${limit}`);
    expect([json.meta.limit, json.data.length]).toEqual([limit, Math.min(limit, total)]);
  }
  expect((await ask('GET', `${KEYS}?page=1000`)).json.data).toEqual([]);
  for (const query of ['page=0', 'page=-1', 'page=x', 'page=1.5', 'limit=0', 'limit=101', 'limit=x', 'take=5'])
    expectEnvelope(await ask('GET', `${KEYS}?${query}`), 400, 'Bad Request', 'VALIDATION_ERROR');
});

test('3.3 POST with the body of the document makes a key; plaintext and signing key are answered once', async () => {
  const made = await create();
  expect(Object.keys(made).sort()).toEqual(['apiKey', 'key', 'signingKey']);
  expectKey(made.apiKey);
  expect(made.apiKey).toMatchObject({ ...ORDER, allowedIps: [], expiresAt: null, lastUsedAt: null, isActive: true });
  expect(made.signingKey).toMatch(/^[0-9a-f]{64}$/);
  expect((await trade(made.key)).status).toBe(200);
  for (const path of [`${KEYS}?limit=100`, `${KEYS}/${made.apiKey.id}`]) {
    const { text } = await ask('GET', path);
    expect(text).toContain(made.apiKey.id);
    for (const secret of [made.key, made.signingKey]) expect(text).not.toContain(secret);
  }
});

test('3.4 name, partnerId and scopes are required: 1 to 100 characters, 1 scope at least', async () => {
  for (const field of ['name', 'partnerId']) {
    for (const value of ['a', 'x'.repeat(100)]) expect((await create({ [field]: value })).apiKey[field]).toBe(value);
    for (const value of ['', 'x'.repeat(101), 5, null])
      expectEnvelope(await ask('POST', KEYS, { ...ORDER, [field]: value }), 400, 'Bad Request', 'VALIDATION_ERROR');
  }
  for (const scopes of [[], 'plants:read', [5], null])
    expectEnvelope(await ask('POST', KEYS, { ...ORDER, scopes }), 400, 'Bad Request', 'VALIDATION_ERROR');
  for (const field of Object.keys(ORDER)) {
    const { [field as keyof typeof ORDER]: _left, ...rest } = ORDER;
    const answer = await ask('POST', KEYS, rest);
    expectEnvelope(answer, 400, 'Bad Request', 'VALIDATION_ERROR');
    expect(answer.json.details.errors).toContainEqual(expect.objectContaining({ pointer: `/${field}` }));
  }
});

test('3.5 allowedIps is a CIDR allowlist, validated here; empty or left out there is no restriction', async () => {
  const elsewhere = await create({ allowedIps: ['10.20.30.0/24'] });
  expect((await trade(elsewhere.key)).status).toBe(403);
  for (const allowedIps of [undefined, [], ['127.0.0.0/8'], ['10.20.30.0/24', '127.0.0.1']])
    expect((await trade((await create({ allowedIps })).key)).status).toBe(200);
  for (const bad of ['10.20.30.0/33', '300.1.1.1', 'example.com', '10.20.30.5/24'])
    expectEnvelope(await ask('POST', KEYS, { ...ORDER, allowedIps: [bad] }), 400, 'Bad Request', 'VALIDATION_ERROR');
});

test('3.6 allowedPlantIds restricts the key to those plants; null or left out means all of the organization', async () => {
  const plants = '/organizations/customer/plants';
  const [one, other] = [await ask('POST', plants, { name: 'One' }), await ask('POST', plants, { name: 'Other' })];
  const all = [one.json.id, other.json.id].sort();
  const seen = async (key: string) =>
    (await world.call('GET', '/api/v1/plants', { headers: { 'x-api-key': key } })).json.data
      .map(({ id }: any) => id)
      .sort();
  expect(await seen((await create({ allowedPlantIds: [one.json.id] })).key)).toEqual([one.json.id]);
  expect(await seen((await create({ allowedPlantIds: null })).key)).toEqual(all);
  expect(await seen((await create()).key)).toEqual(all);
  const rival = as(await personToken(world, world.rivalId, 'ADMIN'));
  const foreign = (await rival('POST', '/organizations/rival/plants', { name: 'R' })).json.id;
  for (const id of [foreign, UNKNOWN, 'x'])
    expectEnvelope(
      await ask('POST', KEYS, { ...ORDER, allowedPlantIds: [id] }),
      400,
      'Bad Request',
      'VALIDATION_ERROR',
    );
});

test('3.7 expiresAt is an ISO 8601 date-time, after which the key is worth nothing, and so is its token before', async () => {
  const expiresAt = new Date(Date.now() + 100_000).toISOString();
  const { key, apiKey } = await create({ expiresAt });
  const traded = (await trade(key)).json;
  expect(traded.expiresIn).toBeLessThanOrEqual(100);
  expect(Date.parse(traded.expiresAt)).toBeLessThanOrEqual(Date.parse(expiresAt));
  const { owner } = world.app.backends.database;
  await owner.updateTable('api_key').set({ expires_at: new Date() }).where('id', '=', apiKey.id).execute();
  expect((await trade(key)).status).toBe(401);
  expect((await ask('GET', `${KEYS}/${apiKey.id}`)).json.isActive).toBe(false);
  for (const bad of ['tomorrow', '2119-08-24', '2119-08-24T14:15:22', '2019-08-24T14:15:22Z', 5])
    expectEnvelope(await ask('POST', KEYS, { ...ORDER, expiresAt: bad }), 400, 'Bad Request', 'VALIDATION_ERROR');
});

test('3.8 DELETE /api/v1/partner/api-keys/{id} revokes, and says so in a message', async () => {
  for (const slash of ['', '/']) {
    const { key, apiKey } = await create();
    const token = (await trade(key)).json.accessToken as string;
    const { status, json } = await ask('DELETE', `${KEYS}/${apiKey.id}${slash}`);
    expect([status, json]).toEqual([200, { message: expect.stringMatching(/^\w/) }]);
    expect([(await trade(key)).status, (await world.call('GET', '/api/v1/limits', { token })).status]).toEqual([
      401, 401,
    ]);
    expect((await ask('GET', `${KEYS}/${apiKey.id}`)).json.isActive).toBe(false);
  }
});

test('3.9 DELETE of a bad id is INVALID_UUID, of an unknown or foreign one API_KEY_NOT_FOUND, in the words of the document', async () => {
  const bad = await ask('DELETE', `${KEYS}/string`);
  expectEnvelope(bad, 400, 'Bad Request', 'INVALID_UUID');
  expect(bad.json.message).toBe('Invalid API key UUID');
  const rival = as(await personToken(world, world.rivalId, 'ADMIN'));
  const { apiKey } = await create();
  for (const unknown of [await ask('DELETE', `${KEYS}/${UNKNOWN}`), await rival('DELETE', `${KEYS}/${apiKey.id}`)]) {
    expectEnvelope(unknown, 404, 'Not Found', 'API_KEY_NOT_FOUND');
    expect(unknown.json.message).toBe('API key not found');
  }
});

test('3.10 each endpoint answers UNAUTHORIZED without a good session and FORBIDDEN to whom it is not for', async () => {
  const { apiKey } = await create();
  const viewer = await personToken(world, world.customerId, 'VIEWER');
  const key = await world.token(world.customerId, 'customer', ['plants:read']);
  for (const [method, path, body] of [
    ['GET', KEYS, undefined],
    ['POST', KEYS, ORDER],
    ['DELETE', `${KEYS}/${apiKey.id}`, undefined],
  ] as const) {
    expectEnvelope(await send(world, method, path, body), 401, 'Unauthorized', 'UNAUTHORIZED');
    expectEnvelope(await as('nonsense')(method, path, body), 401, 'Unauthorized', 'UNAUTHORIZED');
    expectEnvelope(await as(key)(method, path, body), 403, 'Forbidden', 'FORBIDDEN');
    if (method !== 'GET') expectEnvelope(await as(viewer)(method, path, body), 403, 'Forbidden', 'FORBIDDEN');
  }
});

test('3.11 what fails on our side is INTERNAL_SERVER_ERROR, without a word about the inside', async () => {
  const { owner } = world.app.backends.database;
  await sql`alter table api_key rename to api_key_away`.execute(owner);
  const answers = [await ask('GET', KEYS), await ask('POST', KEYS, ORDER), await ask('DELETE', `${KEYS}/${UNKNOWN}`)];
  await sql`alter table api_key_away rename to api_key`.execute(owner);
  for (const answer of answers) {
    expectEnvelope(answer, 500, 'Internal Server Error', 'INTERNAL_SERVER_ERROR');
    expect(answer.text).not.toMatch(/api_key|select|relation|\.ts/);
  }
});

test('3.12 every field is live: lastUsedAt after use, isActive and updatedAt after a change, the role of the creator', async () => {
  const { key, apiKey } = await create();
  expect((await trade(key)).status).toBe(200);
  await expect
    .poll(async () => (await ask('GET', `${KEYS}/${apiKey.id}`)).json.lastUsedAt, { timeout: 20_000 })
    .toMatch(INSTANT);
  await ask('DELETE', `${KEYS}/${apiKey.id}`);
  const after = (await ask('GET', `${KEYS}/${apiKey.id}`)).json;
  expect(after.isActive).toBe(false);
  expect(Date.parse(after.updatedAt)).toBeGreaterThan(Date.parse(apiKey.updatedAt) - 1);
  expect(after.createdAt).toBe(apiKey.createdAt);
});
