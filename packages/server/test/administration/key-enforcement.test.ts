import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { openTestApp, type TestApp } from '../app.ts';
import { createSubscription, subscribe } from '../live-feed.ts';
import { personToken, send } from '../people.ts';

/** A real client with a key meets each of its restrictions, over HTTP and over gRPC. */
const READING = { name: 'Reader', partnerId: 'acme', scopes: ['fleets:read', 'livefeed:connect'] };
const PAYLOAD = JSON.stringify({
  position: { latitude: 52, longitude: 5, fixTime: '2026-11-20T08:00:00Z', valid: true },
  device: { uniqueId: 'd' },
});
const WRITING = { name: 'Writer', partnerId: 'acme', scopes: ['telemetry:write', 'product:traccar'] };

/** More rotations than anybody gets in an hour. */
const UNLIMITED = { 'limits.mode': 'report' };

async function openWorld(flags: Record<string, unknown> = {}) {
  const world = await openTestApp({ flags });
  const admin = await personToken(world, world.customerId, 'ADMIN');
  const make = async (order: object): Promise<{ id: string; key: string }> => {
    const made = await send(world, 'POST', '/partner/api-keys', order, admin);
    if (made.status !== 201) throw new Error(made.text);
    return { id: made.json.apiKey.id, key: made.json.key };
  };
  const exchange = (key: string, audience = 'customer', headers: Record<string, string> = {}) =>
    world.call('POST', `/api/v1/${audience}s/authenticate`, { headers: { 'x-api-key': key, ...headers } });
  const tokenOf = async (key: string, audience?: string, headers?: Record<string, string>) => {
    const answer = await exchange(key, audience, headers);
    if (answer.status !== 200) throw new Error(answer.text);
    return answer.json.accessToken as string;
  };
  const change = (id: string, body: object) => send(world, 'PATCH', `/partner/api-keys/${id}`, body, admin);
  const fleets = (token: string, headers: Record<string, string> = {}) =>
    world.call('GET', '/api/v1/fleets', { token, headers });
  return { world, admin, make, exchange, tokenOf, change, fleets };
}

function connect(
  world: TestApp,
  token: string,
  metadata: Record<string, string> = {},
  request: Parameters<typeof subscribe>[1] = {},
) {
  const client = new Client(`127.0.0.1:${world.app.grpcPort}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  onTestFinished(() => client.close());
  const all = new Metadata();
  for (const [name, value] of Object.entries({ ...metadata, authorization: `Bearer ${token}` })) all.set(name, value);
  return createSubscription(subscribe(client, request, all));
}

test('a key used from another address is refused with 403 wherever it is used, and its organization reads of it', async () => {
  const { world, admin, make, exchange, tokenOf, change, fleets } = await openWorld();
  const { id, key } = await make({ ...READING, allowedIps: ['127.0.0.0/8'] });
  const token = await tokenOf(key);
  expect((await fleets(token)).status).toBe(200);
  const stream = connect(world, token);
  await stream.begun();
  await change(id, { allowedIps: ['203.0.113.0/24', '2001:db8::/32'] });
  expect((await stream.ended).errorCode).toBe('address-not-allowed');
  const refusals = [
    await exchange(key),
    await fleets(token),
    await fleets(token, { 'x-forwarded-for': '203.0.113.5', forwarded: 'for=203.0.113.5', 'x-real-ip': '203.0.113.5' }),
  ];
  expect(refusals.map(({ status: code, json }) => [code, json.code])).toEqual(
    refusals.map(() => [403, 'address-not-allowed']),
  );
  const ending = await connect(world, token, { 'x-forwarded-for': '203.0.113.5', 'x-real-ip': '203.0.113.5' }).ended;
  expect(ending).toMatchObject({ code: status.PERMISSION_DENIED, errorCode: 'address-not-allowed' });
  await expect
    .poll(
      async () =>
        (await send(world, 'GET', '/organizations/customer/audit?action=access.refused', undefined, admin)).json.data,
      { timeout: 10_000 },
    )
    .toContainEqual(
      expect.objectContaining({
        actor: { kind: 'key', id },
        address: '127.0.0.1',
        details: expect.objectContaining({ code: 'address-not-allowed' }),
      }),
    );
  await change(id, { allowedIps: ['127.0.0.1'] });
  expect((await fleets(token)).status).toBe(200);
});

test('behind a configured proxy the client is who counts, and what it says of itself does not', async () => {
  const { make, exchange, tokenOf, fleets } = await openWorld({ 'http.trustedProxies': ['127.0.0.1'] });
  const { key } = await make({ ...READING, allowedIps: ['203.0.113.0/24'] });
  const from = (...hops: string[]) => ({ 'x-forwarded-for': hops.join(', ') });
  const token = await tokenOf(key, 'customer', from('203.0.113.5'));
  expect((await fleets(token, from('203.0.113.77'))).status).toBe(200);
  expect((await fleets(token, from('::ffff:203.0.113.77'))).status).toBe(200);
  for (const headers of [
    from('198.51.100.1'),
    from('203.0.113.5', '198.51.100.1'),
    from('203.0.113.5', 'unknown'),
    from('junk'),
    {},
    { forwarded: 'for=203.0.113.5' },
  ]) {
    expect((await fleets(token, headers)).json.code).toBe('address-not-allowed');
    expect((await exchange(key, 'customer', headers)).status).toBe(403);
  }
});

test('an expired key and its tokens are refused with 401, and its streams end within a second', async () => {
  const { world, make, exchange, tokenOf, fleets } = await openWorld();
  // On a whole second, as the ends of tokens are.
  const expiresAt = (Math.ceil(Date.now() / 1_000) + 3) * 1_000;
  const { key } = await make({ ...READING, expiresAt: new Date(expiresAt).toISOString() });
  const token = await tokenOf(key);
  expect((await fleets(token)).status).toBe(200);
  const stream = connect(world, token);
  await stream.begun();
  const ending = await stream.ended;
  const lateMs = Date.now() - expiresAt;
  console.log(`the stream of an expired key ended ${lateMs} ms after its expiry`);
  expect(ending.code).toBe(status.UNAUTHENTICATED);
  expect((await fleets(token)).json).toMatchObject({ status: 401, code: 'token-expired' });
  expect((await exchange(key)).json).toMatchObject({ status: 401, code: 'invalid-api-key' });
});

test('over HTTP and gRPC, a missing scope, a token of the other audience and a session are 403; a key of the other audience is 401 like any bad key', async () => {
  const { world, admin, make, exchange, tokenOf } = await openWorld();
  const reader = await make({ ...READING, scopes: ['fleets:read'] });
  const token = await tokenOf(reader.key);
  expect((await world.call('GET', '/api/v1/deliversafe', { token })).json).toMatchObject({
    status: 403,
    code: 'missing-scope',
  });
  expect(await connect(world, token).ended).toMatchObject({
    code: status.PERMISSION_DENIED,
    errorCode: 'missing-scope',
  });
  expect((await exchange(reader.key, 'partner')).status).toBe(401);
  const writer = await make(WRITING);
  for (const other of [await tokenOf(writer.key, 'partner'), admin])
    expect(await connect(world, other).ended).toMatchObject({ code: status.PERMISSION_DENIED, errorCode: 'forbidden' });
  await send(world, 'POST', '/auth/sign-out', undefined, admin);
  expect(await connect(world, admin).ended).toMatchObject({ code: status.UNAUTHENTICATED, errorCode: 'invalid-token' });
  const body = { headers: { 'content-type': 'application/json' }, body: '{}' };
  expect((await world.call('POST', '/api/v1/telemetry/intake/1GHD00000000000A1', { token, ...body })).status).toBe(403);
});

test('a plant the key is not restricted to is 404, as one that is not there, over HTTP and gRPC', async () => {
  const { world, admin, make, tokenOf, change } = await openWorld();
  const plant = async () =>
    (await send(world, 'POST', '/organizations/customer/plants', { name: 'P' }, admin)).json.id as string;
  const [mine, other] = [await plant(), await plant()];
  const unknown = '01920000-0000-7000-8000-000000000000';
  const writer = await make({ ...WRITING, allowedPlantIds: [mine] });
  const token = await tokenOf(writer.key, 'partner');
  const post = (id: string) =>
    world.call('POST', `/api/v1/telemetry/intake/plants/${id}`, {
      token,
      headers: { 'content-type': 'application/json' },
      body: PAYLOAD,
    });
  expect((await post(mine)).status).toBe(202);
  const [foreign, missing] = [await post(other), await post(unknown)];
  expect([foreign.status, missing.status]).toEqual([404, 404]);
  const plain = ({ text, json }: typeof foreign) => text.replaceAll(json.requestId, '');
  expect(plain(foreign)).toBe(plain(missing));

  const reader = await make({ ...READING, allowedPlantIds: [mine] });
  const readerToken = await tokenOf(reader.key);
  const open = (id: string) => connect(world, readerToken, {}, { filter: { plants: [id] } });
  const endings = [await open(other).ended, await open(unknown).ended];
  for (const ending of endings) expect(ending).toMatchObject({ code: status.NOT_FOUND, errorCode: 'not-found' });
  expect(endings[0]!.details).toBe(endings[1]!.details);
  const stream = open(mine);
  await stream.begun();
  // Restricted further while the stream is open: it ends, because it was opened with more.
  await change(reader.id, { allowedPlantIds: [other] });
  expect((await stream.ended).code).toBe(status.UNAUTHENTICATED);
});

test('a revoked key is refused at the next request, and every stream of it ends', async () => {
  const { world, admin, make, exchange, tokenOf, fleets } = await openWorld();
  const [doomed, other] = [await make(READING), await make(READING)];
  const [token, otherToken] = [await tokenOf(doomed.key), await tokenOf(other.key)];
  const streams = [connect(world, token), connect(world, token)];
  const bystander = connect(world, otherToken);
  await Promise.all([...streams, bystander].map((stream) => stream.begun()));
  const startedAt = performance.now();
  expect((await send(world, 'DELETE', `/partner/api-keys/${doomed.id}`, undefined, admin)).status).toBe(200);
  expect((await fleets(token)).json).toMatchObject({ status: 401, code: 'invalid-token' });
  expect((await exchange(doomed.key)).status).toBe(401);
  for (const stream of streams)
    expect(await stream.ended).toMatchObject({ code: status.UNAUTHENTICATED, errorCode: 'invalid-token' });
  console.log(
    `streams of a revoked key had ended ${Math.round(performance.now() - startedAt)} ms after the revocation was asked for`,
  );
  expect((await fleets(otherToken)).status).toBe(200);
  const isOpen = await Promise.race([bystander.ended.then(() => false), fleets(otherToken).then(() => true)]);
  expect(isOpen).toBe(true);
});

test('a rotation without overlap ends the old key, its tokens and its streams with its answer', async () => {
  const { world, admin, make, exchange, tokenOf, fleets } = await openWorld();
  const { id, key } = await make(READING);
  const [token, sibling] = [await tokenOf(key), await tokenOf(key)];
  const stream = connect(world, sibling);
  await stream.begun();
  const rotated = await world.call('PUT', '/api/v1/customers/rotate', { token });
  expect(rotated.status, rotated.text).toBe(200);
  expect(rotated.json).toEqual({
    key: expect.any(String),
    keyPrefix: expect.any(String),
    signingKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    generation: 2,
    previousKeyExpiresAt: expect.any(String),
  });
  expect(rotated.json.key.startsWith(`${rotated.json.keyPrefix}_`)).toBe(true);
  expect(rotated.headers.get('cache-control')).toBe('no-store');
  for (const old of [token, sibling])
    expect((await fleets(old)).json).toMatchObject({ status: 401, code: 'invalid-token' });
  expect((await exchange(key)).json.code).toBe('invalid-api-key');
  expect((await stream.ended).code).toBe(status.UNAUTHENTICATED);
  const fresh = await exchange(rotated.json.key);
  expect([fresh.status, fresh.headers.get('deprecation')]).toEqual([200, null]);
  expect((await fleets(fresh.json.accessToken)).status).toBe(200);
  const { json } = await send(world, 'GET', `/partner/api-keys/${id}`, undefined, admin);
  expect(json).toMatchObject({ keyPrefix: rotated.json.keyPrefix, isActive: true });
  expect(json.generations.map(({ generation, expiresAt }: any) => [generation, expiresAt])).toEqual([
    [2, null],
    [1, rotated.json.previousKeyExpiresAt],
  ]);
});

test('in the overlap a stream says since when its key is old and until when it is good', async () => {
  const { world, make, tokenOf } = await openWorld(UNLIMITED);
  const token = await tokenOf((await make(READING)).key);
  const before = connect(world, token);
  expect((await before.headers).get('deprecation')).toEqual([]);
  const rotated = await send(world, 'PUT', '/customers/rotate', { overlapSeconds: 3_600 }, token);
  const after = connect(world, token);
  const until = new Date(rotated.json.previousKeyExpiresAt);
  expect((await after.headers).get('sunset')).toEqual([until.toUTCString()]);
  expect((await after.headers).get('deprecation')).toEqual([`@${Math.floor(until.getTime() / 1000) - 3_600}`]);
});

test('in the overlap both generations are good, and answers to the old one say since when and until when', async () => {
  const { world, make, exchange, tokenOf } = await openWorld(UNLIMITED);
  const { key } = await make(WRITING);
  const token = await tokenOf(key, 'partner');
  const put = (bearer: string, body?: object) => send(world, 'PUT', '/partners/rotate', body, bearer);
  const rotated = await put(token, { overlapSeconds: 3_600 });
  const until = Date.parse(rotated.json.previousKeyExpiresAt);
  expect(Math.abs(until - Date.now() - 3_600_000)).toBeLessThan(60_000);
  const post = (bearer: string) =>
    world.call('POST', '/api/v1/telemetry/intake/1GHD00000000000A1', {
      token: bearer,
      headers: { 'content-type': 'application/json' },
      body: PAYLOAD,
    });
  const again = await exchange(key, 'partner');
  const old = await post(token);
  for (const answer of [again, old]) {
    expect(answer.status).toBe(answer === old ? 202 : 200);
    const since = Number(/^@(\d+)$/.exec(answer.headers.get('deprecation') ?? '')?.[1]);
    expect(since).toBe(Math.floor((until - 3_600_000) / 1000));
    expect(answer.headers.get('sunset')).toBe(new Date(until).toUTCString());
  }
  const fresh = await tokenOf(rotated.json.key, 'partner');
  const answer = await post(fresh);
  expect([answer.status, answer.headers.get('deprecation'), answer.headers.get('sunset')]).toEqual([202, null, null]);

  // The old generation may not rotate: whoever has a stolen one could take the key over.
  expect((await put(token)).json).toMatchObject({ status: 409, code: 'rotation-in-progress' });
  const third = await put(fresh, { overlapSeconds: 60 });
  expect(third.json.generation).toBe(3);
  expect((await post(token)).status).toBe(401);
  expect((await exchange(key, 'partner')).status).toBe(401);
  expect((await post(fresh)).status).toBe(202);
  for (const overlapSeconds of [-1, 604_801, 1.5, '60', null]) {
    expect((await put(await tokenOf(third.json.key, 'partner'), { overlapSeconds })).json).toMatchObject({
      status: 400,
      code: 'validation-failed',
      errors: [{ pointer: '/overlapSeconds' }],
    });
  }
});

test('of rotations at the same time one wins, and a key never has three good generations', async () => {
  const { world, make, tokenOf, exchange } = await openWorld(UNLIMITED);
  const { key } = await make(READING);
  const token = await tokenOf(key);
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => send(world, 'PUT', '/customers/rotate', { overlapSeconds: 600 }, token)),
  );
  expect(answers.filter(({ status: code }) => code === 200)).toHaveLength(1);
  for (const { status: code, json } of answers)
    if (code !== 200) expect([code, json.code]).toEqual([409, 'rotation-in-progress']);
  const winner = answers.find(({ status: code }) => code === 200)!.json;
  expect((await exchange(key)).status).toBe(200);
  expect((await exchange(winner.key)).status).toBe(200);
});

test('the routes of rotation are for keys of their own audience', async () => {
  const { world, admin, make, tokenOf } = await openWorld();
  const [reader, writer] = [await make(READING), await make(WRITING)];
  expect((await send(world, 'PUT', '/partners/rotate', undefined, await tokenOf(reader.key))).status).toBe(403);
  expect((await send(world, 'PUT', '/customers/rotate', undefined, await tokenOf(writer.key, 'partner'))).status).toBe(
    403,
  );
  expect((await send(world, 'PUT', '/customers/rotate', undefined, admin)).status).toBe(403);
  expect((await send(world, 'PUT', '/customers/rotate')).status).toBe(401);
  expect((await world.call('PUT', '/api/v1/customers/rotate', { headers: { 'x-api-key': reader.key } })).status).toBe(
    401,
  );
});

test('an admin sees when and from where each generation was last used, by exchange or by token', async () => {
  const { world, admin, make, tokenOf, fleets } = await openWorld();
  const { id, key } = await make(READING);
  const token = await tokenOf(key);
  const generations = async () =>
    (await send(world, 'GET', `/partner/api-keys/${id}`, undefined, admin)).json.generations;
  await expect
    .poll(generations, { timeout: 20_000, interval: 200 })
    .toMatchObject([{ generation: 1, lastUsedAddress: '127.0.0.1', lastUsedAt: expect.any(String) }]);
  const rotated = (await send(world, 'PUT', '/customers/rotate', { overlapSeconds: 600 }, token)).json;
  expect((await generations())[0]).toMatchObject({ generation: 2, lastUsedAt: null, lastUsedAddress: null });
  const fresh = await tokenOf(rotated.key);
  await fleets(fresh);
  await expect
    .poll(async () => (await generations())[0], { timeout: 20_000, interval: 200 })
    .toMatchObject({ generation: 2, lastUsedAddress: '127.0.0.1' });
  const { lastUsedAt } = (await send(world, 'GET', `/partner/api-keys/${id}`, undefined, admin)).json;
  expect(lastUsedAt).toBe((await generations())[0].lastUsedAt);
});
