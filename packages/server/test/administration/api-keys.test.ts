import { expect, test } from 'vitest';
import { findPublicId } from '../../src/access/api-key.ts';
import { ROLES } from '../../src/access/principal.ts';
import { openTestApp, type TestApp } from '../app.ts';
import { addPerson, personToken, send, signIn } from '../people.ts';

/** The three endpoints of the API-key document, row by row, and what stands behind their fields. */
const KEYS = '/partner/api-keys';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UNKNOWN = '01920000-0000-7000-8000-000000000000';
const READING = { name: 'Reader', partnerId: 'acme', scopes: ['plants:read', 'telemetry:read'] };
const WRITING = { name: 'Writer', partnerId: 'acme', scopes: ['telemetry:write', 'product:traccar'] };

const plantOf = async (world: TestApp, token: string, organization: string) =>
  (await send(world, 'POST', `/organizations/${organization}/plants`, { name: 'Plant' }, token)).json.id as string;

const envelope = (statusCode: number, error: string, code: string) => ({
  statusCode,
  error,
  code,
  message: expect.any(String),
  details: expect.objectContaining({ requestId: expect.any(String) }),
});

test('a key is created with every field the document has, plaintext shown once, and it works', async () => {
  const world = await openTestApp();
  const admin = await addPerson(world, world.customerId, 'ADMIN');
  const token = await signIn(world, admin);
  const plant = await plantOf(world, token, 'customer');
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
  const order = {
    ...READING,
    allowedIps: ['127.0.0.1', '10.20.30.0/24', '2001:DB8::/32'],
    allowedPlantIds: [plant],
    expiresAt,
  };
  const made = await send(world, 'POST', KEYS, order, token);
  expect(made.status, made.text).toBe(201);
  expect(made.headers.get('cache-control')).toBe('no-store');
  expect(Object.keys(made.json).sort()).toEqual(['apiKey', 'key', 'signingKey']);
  const { apiKey, key, signingKey } = made.json;
  expect(findPublicId(key)).toBeDefined();
  expect(signingKey).toMatch(/^[0-9a-f]{64}$/);
  expect(apiKey).toEqual({
    id: expect.stringMatching(UUID),
    organizationId: world.customerId,
    partnerId: 'acme',
    name: 'Reader',
    keyPrefix: key.slice(0, key.lastIndexOf('_')),
    audience: 'customer',
    scopes: READING.scopes,
    allowedIps: ['127.0.0.1/32', '10.20.30.0/24', '2001:db8::/32'],
    allowedPlantIds: [plant],
    requireSignature: false,
    expiresAt,
    isActive: true,
    revokedAt: null,
    lastUsedAt: null,
    vhost: `partner-${apiKey.id}`,
    createdBy: admin.id,
    creator: {
      id: admin.id,
      email: admin.email,
      name: 'A ADMIN',
      role: 'ADMIN',
      createdAt: expect.stringMatching(INSTANT),
      updatedAt: expect.stringMatching(INSTANT),
    },
    generations: [
      {
        generation: 1,
        keyPrefix: apiKey.keyPrefix,
        createdAt: apiKey.createdAt,
        expiresAt: null,
        lastUsedAt: null,
        lastUsedAddress: null,
      },
    ],
    createdAt: expect.stringMatching(INSTANT),
    updatedAt: apiKey.createdAt,
  });
  expect(made.headers.get('location')).toBe(`/api/v1${KEYS}/${apiKey.id}`);

  const listed = await send(world, 'GET', KEYS, undefined, token);
  expect(listed.json).toEqual({ data: [apiKey], meta: { limit: 20, page: 1, total: 1, totalPages: 1 } });
  expect(listed.text).not.toContain(key);
  expect(listed.text).not.toContain(signingKey);
  expect((await send(world, 'GET', `${KEYS}/${apiKey.id}`, undefined, token)).json).toEqual(apiKey);
  const exchanged = await world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } });
  expect([exchanged.status, exchanged.json.scopes]).toEqual([200, READING.scopes]);
  const stored = JSON.stringify([
    await world.app.backends.database.owner.selectFrom('api_key').selectAll().execute(),
    await world.app.backends.database.owner.selectFrom('api_key_secret').selectAll().execute(),
    await world.app.backends.database.owner.selectFrom('audit_event').selectAll().execute(),
  ]);
  for (const secret of [key, key.split('_')[2], signingKey]) expect(stored).not.toContain(secret);
});

test('the list is paged from 1, newest first, 20 to a page and 100 at most', async () => {
  const world = await openTestApp();
  const token = await personToken(world, world.customerId, 'ADMIN');
  const ids: string[] = [];
  for (let n = 0; n < 23; n += 1)
    ids.unshift((await send(world, 'POST', KEYS, { ...READING, name: `Key ${n}` }, token)).json.apiKey.id);
  await world.issueKey(world.rivalId, 'customer', ['fleets:read']);
  const page = async (query: string) => {
    const { json } = await send(world, 'GET', `${KEYS}${query}`, undefined, token);
    return [json.data.map(({ id }: { id: string }) => id), json.meta];
  };
  expect(await page('')).toEqual([ids.slice(0, 20), { limit: 20, page: 1, total: 23, totalPages: 2 }]);
  expect(await page('?page=2')).toEqual([ids.slice(20), { limit: 20, page: 2, total: 23, totalPages: 2 }]);
  expect(await page('?page=3&limit=10')).toEqual([ids.slice(20), { limit: 10, page: 3, total: 23, totalPages: 3 }]);
  expect(await page('?limit=100')).toEqual([ids, { limit: 100, page: 1, total: 23, totalPages: 1 }]);
  expect(await page('?page=9007199254740991')).toEqual([
    [],
    { limit: 20, page: 9007199254740991, total: 23, totalPages: 2 },
  ]);
  for (const query of ['page=0', 'page=-1', 'page=1.5', 'page=x', 'limit=0', 'limit=101', 'limit=', 'offset=3']) {
    const refused = await send(world, 'GET', `${KEYS}?${query}`, undefined, token);
    expect([query, refused.json]).toEqual([query, envelope(400, 'Bad Request', 'VALIDATION_ERROR')]);
    expect(refused.json.details.errors[0].pointer).toBe(`/query/${query.split('=')[0]}`);
  }
});

test('every error row of the three endpoints is an envelope with its code and the true status', async () => {
  const world = await openTestApp();
  const admin = await personToken(world, world.customerId, 'ADMIN');
  const viewer = await personToken(world, world.customerId, 'VIEWER');
  const { id } = (await send(world, 'POST', KEYS, READING, admin)).json.apiKey;
  const foreign = (await send(world, 'POST', KEYS, READING, await personToken(world, world.rivalId, 'ADMIN'))).json
    .apiKey.id;
  const key = await world.token(world.customerId, 'customer', ['fleets:read']);
  const rows: [string, string, unknown, string | undefined, ReturnType<typeof envelope>][] = [
    ['GET', `${KEYS}?limit=1000`, undefined, admin, envelope(400, 'Bad Request', 'VALIDATION_ERROR')],
    ['GET', KEYS, undefined, undefined, envelope(401, 'Unauthorized', 'UNAUTHORIZED')],
    ['GET', KEYS, undefined, 'nonsense', envelope(401, 'Unauthorized', 'UNAUTHORIZED')],
    ['GET', KEYS, undefined, key, envelope(403, 'Forbidden', 'FORBIDDEN')],
    ['POST', KEYS, {}, admin, envelope(400, 'Bad Request', 'VALIDATION_ERROR')],
    ['POST', KEYS, READING, undefined, envelope(401, 'Unauthorized', 'UNAUTHORIZED')],
    ['POST', KEYS, READING, viewer, envelope(403, 'Forbidden', 'FORBIDDEN')],
    ['POST', KEYS, READING, key, envelope(403, 'Forbidden', 'FORBIDDEN')],
    [
      'DELETE',
      `${KEYS}/not-a-uuid`,
      undefined,
      admin,
      { ...envelope(400, 'Bad Request', 'INVALID_UUID'), message: 'Invalid API key UUID' },
    ],
    ['DELETE', `${KEYS}/${id}`, undefined, undefined, envelope(401, 'Unauthorized', 'UNAUTHORIZED')],
    ['DELETE', `${KEYS}/${id}`, undefined, viewer, envelope(403, 'Forbidden', 'FORBIDDEN')],
    [
      'DELETE',
      `${KEYS}/${UNKNOWN}`,
      undefined,
      admin,
      { ...envelope(404, 'Not Found', 'API_KEY_NOT_FOUND'), message: 'API key not found' },
    ],
    [
      'DELETE',
      `${KEYS}/${foreign}`,
      undefined,
      admin,
      { ...envelope(404, 'Not Found', 'API_KEY_NOT_FOUND'), message: 'API key not found' },
    ],
  ];
  for (const [method, path, body, token, expected] of rows) {
    const answer = await send(world, method, path, body, token);
    expect([method, path, answer.json], answer.text).toEqual([method, path, expected]);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      expected.statusCode,
      'application/json; charset=utf-8',
    ]);
  }
  const malformed = await world.call('POST', `/api/v1${KEYS}`, {
    token: admin,
    headers: { 'content-type': 'application/json' },
    body: '{',
  });
  expect(malformed.json).toEqual(envelope(400, 'Bad Request', 'VALIDATION_ERROR'));
  // 500: the table is gone.
  await world.app.backends.database.owner.schema.alterTable('api_key').renameTo('elsewhere').execute();
  for (const [method, path, body] of [
    ['GET', KEYS],
    ['POST', KEYS, READING],
    ['DELETE', `${KEYS}/${id}`],
  ] as const) {
    const broken = await send(world, method, path, body, admin);
    expect(broken.json).toEqual(envelope(500, 'Internal Server Error', 'INTERNAL_SERVER_ERROR'));
    expect(broken.text).not.toMatch(/elsewhere|api_key|select/);
  }
});

test('what a key may not be made with is refused with a pointer to every place that is wrong', async () => {
  const world = await openTestApp();
  const token = await personToken(world, world.customerId, 'ADMIN');
  const foreignPlant = await plantOf(world, await personToken(world, world.rivalId, 'ADMIN'), 'rival');
  const trailer = (
    await send(world, 'POST', '/organizations/customer/trailers', { vin: '1GHD00000000000A1', name: 'T' }, token)
  ).json.id;
  const writing = (...others: string[]) => ({ ...WRITING, scopes: ['telemetry:write', ...others] });
  const reading = (changes: Record<string, unknown>) => ({ ...READING, ...changes });
  const rows: [unknown, string[]][] = [
    [{}, ['/name', '/partnerId', '/scopes']],
    [reading({ name: '' }), ['/name']],
    [reading({ name: ' ' }), ['/name']],
    [reading({ name: 'n'.repeat(101) }), ['/name']],
    [reading({ name: 'two\nlines' }), ['/name']],
    [reading({ name: 'nul\u0000' }), ['/name']],
    [reading({ partnerId: '' }), ['/partnerId']],
    [reading({ partnerId: 'p'.repeat(101) }), ['/partnerId']],
    [reading({ scopes: [] }), ['/scopes']],
    [reading({ scopes: 'plants:read' }), ['/scopes']],
    [
      reading({ scopes: ['plants:read', 'plants:write', 'admin', 'PLANTS:READ', 'plants:read '] }),
      ['/scopes/1', '/scopes/2', '/scopes/3', '/scopes/4'],
    ],
    [reading({ scopes: ['plants:read', 'product:traccar'] }), ['/scopes/1']],
    [reading({ scopes: ['product:nobody'] }), ['/scopes/0']],
    [writing(), ['/scopes']],
    [writing('product:traccar', 'product:flespi'), ['/scopes']],
    [writing('product:'), ['/scopes/1']],
    [writing('product:../traccar'), ['/scopes/1']],
    [writing('product:__proto__'), ['/scopes/1']],
    [
      writing('product:traccar', 'fleets:read', 'livefeed:connect', 'amqp:connect'),
      ['/scopes/2', '/scopes/3', '/scopes/4'],
    ],
    [reading({ allowedIps: ['0.0.0.0/0'] }), ['/allowedIps/0']],
    [reading({ allowedIps: ['10.0.0.0/8', '::/0'], allowAnyAddress: false }), ['/allowedIps/1']],
    [
      reading({ allowedIps: ['010.0.0.1', '1.1', '0x7f.1', 'fe80::1%eth0', '10.0.0.5/8', '::ffff:0:0/95', 'office'] }),
      [0, 1, 2, 3, 4, 5, 6].map((n) => `/allowedIps/${n}`),
    ],
    [reading({ allowedIps: '10.0.0.0/8' }), ['/allowedIps']],
    [reading({ allowedIps: Array.from({ length: 101 }, () => '10.0.0.1') }), ['/allowedIps']],
    [reading({ expiresAt: new Date(Date.now() - 1_000).toISOString() }), ['/expiresAt']],
    [reading({ expiresAt: '2000-01-01T00:00:00Z' }), ['/expiresAt']],
    [reading({ expiresAt: '2099-02-30T00:00:00Z' }), ['/expiresAt']],
    [reading({ expiresAt: '2099-01-01' }), ['/expiresAt']],
    [reading({ expiresAt: '2099-01-01T00:00:00' }), ['/expiresAt']],
    [reading({ expiresAt: 4_102_444_800 }), ['/expiresAt', '/expiresAt', '/expiresAt']],
    [
      reading({ allowedPlantIds: [foreignPlant, UNKNOWN, trailer] }),
      ['/allowedPlantIds/0', '/allowedPlantIds/1', '/allowedPlantIds/2'],
    ],
    ...['organizationId', 'createdBy', 'id', 'isActive', 'generation', 'audience', 'key', 'vhost', 'constructor'].map(
      (name): [unknown, string[]] => [reading({ [name]: UNKNOWN }), [`/${name}`]],
    ),
    ['{"name":"N","partnerId":"p","scopes":["plants:read"],"__proto__":{"allowAnyAddress":true}}', []],
  ];
  for (const [body, pointers] of rows) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await world.call('POST', `/api/v1${KEYS}`, {
      token,
      headers: { 'content-type': 'application/json' },
      body: text,
    });
    expect([text, answer.status], answer.text).toEqual([text, 400]);
    if (pointers.length === 0) continue;
    const found = answer.json.details.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect([text, [...new Set(found)].sort()]).toEqual([text, [...new Set(pointers)].sort()]);
  }
  const malformedPlant = await send(world, 'POST', KEYS, reading({ allowedPlantIds: ['x'] }), token);
  expect(malformedPlant.json.details.errors[0].pointer).toBe('/allowedPlantIds/0');
  // A foreign plant and one that is not there are the same to the caller.
  const messages = await Promise.all(
    [foreignPlant, UNKNOWN].map(
      async (id) => (await send(world, 'POST', KEYS, reading({ allowedPlantIds: [id] }), token)).json.message,
    ),
  );
  expect(messages[0]).toBe(messages[1]);
  expect((await send(world, 'GET', KEYS, undefined, token)).json.meta.total).toBe(0);
});

test('every address is taken when it is said in so many words, repeated values count once, and null is as left out', async () => {
  const world = await openTestApp();
  const token = await personToken(world, world.customerId, 'ADMIN');
  const order = {
    ...READING,
    scopes: ['plants:read', 'plants:read'],
    allowedIps: ['0.0.0.0/0', '::/0', '::ffff:0:0/96'],
    allowAnyAddress: true,
    allowedPlantIds: null,
    expiresAt: null,
  };
  const made = await send(world, 'POST', KEYS, order, token);
  expect(made.json.apiKey).toMatchObject({
    scopes: ['plants:read'],
    allowedIps: ['0.0.0.0/0', '::/0'],
    allowedPlantIds: null,
    expiresAt: null,
  });
  expect(
    (await world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': made.json.key } })).status,
  ).toBe(200);
});

test('ADMIN makes, changes and revokes; OPERATOR and VIEWER read; the platform operator does it for every organization', async () => {
  const world = await openTestApp();
  const platform = await addPerson(world, world.operatorId, 'ADMIN');
  const platformToken = await signIn(world, platform);
  for (const role of ROLES) {
    const token = await personToken(world, world.customerId, role);
    for (const base of [KEYS, '/organizations/customer/api-keys', `/organizations/${world.customerId}/api-keys`]) {
      const { id } = (await send(world, 'POST', '/organizations/customer/api-keys', READING, platformToken)).json
        .apiKey;
      const answers = [
        await send(world, 'GET', base, undefined, token),
        await send(world, 'GET', `${base}/${id}`, undefined, token),
        await send(world, 'POST', base, READING, token),
        await send(world, 'PATCH', `${base}/${id}`, { name: 'Changed' }, token),
        await send(world, 'DELETE', `${base}/${id}`, undefined, token),
      ];
      const wanted = role === 'ADMIN' ? [200, 200, 201, 200, 200] : [200, 200, 403, 403, 403];
      expect([role, base, answers.map(({ status }) => status)]).toEqual([role, base, wanted]);
    }
    for (const base of [
      '/organizations/rival/api-keys',
      `/organizations/${world.rivalId}/api-keys`,
      `/organizations/${UNKNOWN}/api-keys`,
    ]) {
      const answers = [
        await send(world, 'GET', base, undefined, token),
        await send(world, 'GET', `${base}/${UNKNOWN}`, undefined, token),
      ];
      expect(answers.map(({ json }) => json.code)).toEqual(['not-found', 'not-found']);
    }
  }
  // Who of the operator made it is not the customer's to see.
  const made = (await send(world, 'POST', '/organizations/customer/api-keys', READING, platformToken)).json.apiKey;
  expect(made).toMatchObject({ organizationId: world.customerId, createdBy: platform.id, creator: null });
  const operatorsOperator = await personToken(world, world.operatorId, 'OPERATOR');
  expect((await send(world, 'GET', '/organizations/customer/api-keys', undefined, operatorsOperator)).status).toBe(404);
  expect(
    (await send(world, 'DELETE', '/organizations/customer/api-keys/x', undefined, platformToken)).json,
  ).toMatchObject({ status: 400, code: 'invalid-uuid' });
});

test('a change counts at once, what is left out stays, and a revoked key is revoked for good', async () => {
  const world = await openTestApp();
  const token = await personToken(world, world.customerId, 'ADMIN');
  const made = (await send(world, 'POST', KEYS, { ...READING, allowedIps: ['10.0.0.0/8'] }, token)).json;
  const path = `${KEYS}/${made.apiKey.id}`;
  const status = async () =>
    (await world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': made.key } })).status;
  expect(await status()).toBe(403);
  const changed = await send(world, 'PATCH', path, { allowedIps: ['127.0.0.0/8'], requireSignature: true }, token);
  expect(changed.json).toMatchObject({
    name: 'Reader',
    allowedIps: ['127.0.0.0/8'],
    requireSignature: true,
    scopes: READING.scopes,
  });
  expect(await status()).toBe(200);
  for (const body of [
    {},
    { scopes: ['fleets:read'] },
    { partnerId: 'x' },
    { allowedIps: ['0.0.0.0/0'] },
    { expiresAt: '2000-01-01T00:00:00Z' },
    { allowedPlantIds: [UNKNOWN] },
  ]) {
    expect((await send(world, 'PATCH', path, body, token)).json).toEqual(
      envelope(400, 'Bad Request', 'VALIDATION_ERROR'),
    );
  }
  const expiry = new Date(Date.now() + 86_400_000).toISOString();
  expect((await send(world, 'PATCH', path, { expiresAt: expiry }, token)).json.expiresAt).toBe(expiry);
  expect((await send(world, 'PATCH', path, { expiresAt: null }, token)).json.expiresAt).toBeNull();

  expect((await send(world, 'DELETE', path, undefined, token)).json).toEqual({ message: 'API key revoked' });
  expect(await status()).toBe(401);
  const revoked = (await send(world, 'GET', path, undefined, token)).json;
  expect(revoked).toMatchObject({ isActive: false, revokedAt: expect.stringMatching(INSTANT) });
  expect((await send(world, 'DELETE', path, undefined, token)).json).toEqual({ message: 'API key was revoked before' });
  expect((await send(world, 'PATCH', path, { name: 'Back' }, token)).json).toMatchObject({
    statusCode: 409,
    code: 'API_KEY_REVOKED',
  });
  expect((await send(world, 'GET', path, undefined, token)).json).toEqual(revoked);
  const audit = (await send(world, 'GET', '/organizations/customer/audit', undefined, token)).json.data;
  const actions = audit.filter(({ target }: any) => target?.id === made.apiKey.id).map(({ action }: any) => action);
  expect(actions).toEqual([
    'api-key.revoked',
    'api-key.changed',
    'api-key.changed',
    'api-key.changed',
    'api-key.created',
  ]);
});

test("a customer organization's partner key cannot send for another organization's asset", async () => {
  const world = await openTestApp();
  const [own, rival] = [
    await personToken(world, world.customerId, 'ADMIN'),
    await personToken(world, world.rivalId, 'ADMIN'),
  ];
  await send(world, 'POST', '/organizations/rival/trailers', { vin: '1GHD00000000000R1', name: 'T' }, rival);
  const { key } = (await send(world, 'POST', KEYS, WRITING, own)).json;
  const { accessToken: token } = (
    await world.call('POST', '/api/v1/partners/authenticate', { headers: { 'x-api-key': key } })
  ).json;
  const body = JSON.stringify({
    position: { latitude: 52, longitude: 5, fixTime: new Date().toISOString(), valid: true },
    device: { uniqueId: 'd' },
  });
  const sent = await world.call('POST', '/api/v1/telemetry/intake/1GHD00000000000R1', {
    token,
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect(sent.status).toBe(202);
  expect(await world.settled(token, sent.json.receiptId)).toMatchObject({ status: 'unclaimed' });
});
