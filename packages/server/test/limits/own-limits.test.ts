import { expect, test } from 'vitest';
import { limitFault } from '../../src/edge/limit-fault.ts';
import { renderFault } from '../../src/edge/problem.ts';
import { createMemoryLimits } from '../../src/limits/memory.ts';
import { CUSTOMER_SCOPES } from '../app.ts';
import { createManualClock } from '../manual-clock.ts';
import { personToken, send } from '../people.ts';
import { openLimitedWorld } from './limited-world.ts';

/** Limits are seen before they are met: by those who are under them, and by those who set them. */
const PLAN = {
  slug: 'large',
  name: 'Large',
  mode: 'enforce',
  readCapacity: 5_000,
  readRefillPerSecond: 500,
  concurrentRequestsMax: 100,
  waitMsMax: 500,
  waitingRequestsMax: 200,
  streamsMax: 1_000,
};

test('a key and a person see their limits and what is left, and asking uses nothing up', async () => {
  const world = await openLimitedWorld();
  const token = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
  const person = await personToken(world, world.customerId, 'VIEWER');
  const see = async (as: string, query = '') => (await world.call('GET', `/api/v1/limits${query}`, { token: as })).json;
  for (let asked = 0; asked < 3; asked += 1) await see(token);
  const seen = await see(token);
  expect(seen.plan).toEqual({ slug: 'standard', name: 'Standard' });
  const common = { windowSeconds: null, mode: 'enforce' };
  const shared = [
    {
      ...common,
      name: 'read',
      unit: 'requests',
      quota: 1_000,
      refillPerSecond: 100,
      remaining: 1_000,
      resetSeconds: 0,
    },
    {
      ...common,
      name: 'concurrent-requests',
      unit: 'concurrent-requests',
      quota: 50,
      refillPerSecond: null,
      remaining: 50,
      resetSeconds: 0,
    },
    { ...common, name: 'streams', unit: 'streams', quota: 100, refillPerSecond: null, remaining: 100, resetSeconds: 0 },
  ];
  const window = { ...common, unit: 'requests', refillPerSecond: null };
  const ofKey = [
    { ...window, name: 'authenticate', quota: 10, windowSeconds: 300, remaining: 9, resetSeconds: expect.any(Number) },
    { ...window, name: 'authenticate-failures', quota: 30, windowSeconds: 300, remaining: 30, resetSeconds: 0 },
    { ...window, name: 'rotate', quota: 3, windowSeconds: 3_600, remaining: 3, resetSeconds: 0 },
  ];
  expect(seen.limits).toEqual([...shared, ...ofKey]);
  expect((await see(person)).limits).toEqual(shared);
  const partner = await world.partnerToken('traccar');
  const vin = '1UYVS2533P7204518';
  await world.submit(partner, vin);
  const intake = { ...common, name: 'intake', unit: 'requests', quota: 300, windowSeconds: 60, refillPerSecond: null };
  expect((await see(partner)).limits[0]).toEqual({ ...intake, remaining: null, resetSeconds: null });
  expect((await see(partner, `?vin=${vin}`)).limits[0]).toMatchObject({ ...intake, remaining: 299 });
});

test('use is counted by key and day; a key sees itself, people every key of their organization, nobody another’s', async () => {
  const world = await openLimitedWorld();
  const [one, two, rival] = [
    await world.token(world.customerId, 'customer', CUSTOMER_SCOPES),
    await world.token(world.customerId, 'customer', CUSTOMER_SCOPES),
    await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES),
  ];
  const person = await personToken(world, world.customerId, 'VIEWER');
  const usage = async (token: string, query = '') => (await world.call('GET', `/api/v1/usage${query}`, { token })).json;
  for (const token of [one, one, two, rival]) await world.call('GET', '/api/v1/fleets', { token });
  const day = new Date(world.clock.nowMs()).toISOString().slice(0, 10);
  expect((await usage(one)).data).toEqual([
    { keyId: expect.any(String), day, requests: 3, refused: 0, wouldRefuse: 0, bytes: 0 },
  ]);
  expect((await usage(person)).data.map(({ requests }: { requests: number }) => requests).sort()).toEqual([1, 3]);
  const first = await usage(person, '?take=1');
  const second = await usage(person, `?take=1&next=${first.next}`);
  expect([first.data.length, second.data.length, second.next]).toEqual([1, 1, null]);
  expect(first.data[0].keyId).not.toBe(second.data[0].keyId);
  world.clock.advance(86_400_000);
  const dayAfter = await personToken(world, world.customerId, 'VIEWER');
  expect((await usage(dayAfter)).data).toHaveLength(2);
  expect((await usage(dayAfter, `?from=${day}&to=${day}`)).data).toHaveLength(2);
  expect((await usage(dayAfter, '?from=2026-01-01&to=2026-01-31')).data).toEqual([]);
  expect((await world.call('GET', '/api/v1/usage?from=2026-02-30', { token: dayAfter })).json.code).toBe(
    'invalid-range',
  );
});

test('a platform operator makes, changes, assigns and removes plans, each act is in the log, and nobody else may', async () => {
  const world = await openLimitedWorld();
  const { operator } = world;
  const made = await send(world, 'POST', '/plans', PLAN, operator);
  expect(made.json).toMatchObject({ ...PLAN, proposed: null });
  expect((await send(world, 'POST', '/plans', PLAN, operator)).json.code).toBe('already-exists');
  expect(
    (await send(world, 'GET', '/plans', undefined, operator)).json.data.map(({ slug }: { slug: string }) => slug),
  ).toEqual(['large', 'standard']);
  const changed = await send(
    world,
    'PATCH',
    '/plans/large',
    { streamsMax: 5, proposed: { readCapacity: 10 } },
    operator,
  );
  expect(changed.json).toMatchObject({ ...PLAN, streamsMax: 5, proposed: { readCapacity: 10 } });
  const unknown = await send(world, 'PATCH', '/organizations/customer', { planId: world.customerId }, operator);
  expect(unknown.json).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/planId' }] });
  const assigned = await send(world, 'PATCH', '/organizations/customer', { planId: made.json.id }, operator);
  expect(assigned.json.planId).toBe(made.json.id);
  expect((await send(world, 'DELETE', '/plans/large', undefined, operator)).json.code).toBe('plan-in-use');
  expect((await send(world, 'DELETE', '/plans/standard', undefined, operator)).json.code).toBe('plan-in-use');
  expect((await send(world, 'PATCH', '/organizations/customer', { planId: null }, operator)).json.planId).toBeNull();
  expect((await send(world, 'DELETE', '/plans/large', undefined, operator)).status).toBe(204);
  expect((await send(world, 'GET', '/plans/large', undefined, operator)).status).toBe(404);
  const admin = await personToken(world, world.customerId, 'ADMIN');
  for (const [method, path, body] of [
    ['GET', '/plans', undefined],
    ['POST', '/plans', PLAN],
    ['PATCH', '/plans/standard', { streamsMax: 9 }],
    ['DELETE', '/plans/standard', undefined],
    ['GET', '/products/traccar/limit', undefined],
    ['PUT', '/products/traccar/limit', { limit: 9, windowSeconds: 9 }],
    ['PATCH', '/organizations/customer', { planId: null }],
  ] as const) {
    expect((await send(world, method, path, body, admin)).status, `${method} ${path}`).toBe(403);
  }
  const log = async (slug: string) =>
    (await send(world, 'GET', `/organizations/${slug}/audit`, undefined, operator)).json.data.map(
      ({ action }: { action: string }) => action,
    );
  expect(await log('operator')).toEqual(expect.arrayContaining(['plan.removed', 'plan.changed', 'plan.created']));
  expect(await log('customer')).toContain('organization.changed');
});

test('the limit of a product is its file’s until an operator sets another', async () => {
  const world = await openLimitedWorld();
  const { operator } = world;
  const get = async () => (await send(world, 'GET', '/products/traccar/limit', undefined, operator)).json;
  expect(await get()).toEqual({
    product: 'traccar',
    limit: 300,
    windowSeconds: 60,
    mode: 'enforce',
    total: null,
    proposed: null,
    setBy: 'product',
  });
  const proposed = { limit: 5, windowSeconds: 10 };
  await world.setProductLimit('traccar', { limit: 50, windowSeconds: 30, mode: 'report', total: proposed, proposed });
  expect(await get()).toEqual({
    product: 'traccar',
    limit: 50,
    windowSeconds: 30,
    mode: 'report',
    total: proposed,
    proposed,
    setBy: 'operator',
  });
  await world.setProductLimit('traccar', { limit: 40, windowSeconds: 30 });
  expect(await get()).toEqual({
    product: 'traccar',
    limit: 40,
    windowSeconds: 30,
    mode: 'report',
    total: null,
    proposed: null,
    setBy: 'operator',
  });
  expect((await send(world, 'GET', '/products/nothing/limit', undefined, operator)).status).toBe(404);
  expect((await send(world, 'PUT', '/products/traccar/limit', { limit: 0, windowSeconds: 30 }, operator)).status).toBe(
    400,
  );
});

test('a refusal says the same in both families of errors', async () => {
  const limits = createMemoryLimits({ clock: createManualClock() });
  const policy = { algorithm: 'fixed-window', name: 'intake', limit: 1, windowSeconds: 60, mode: 'enforce' } as const;
  const take = () => limits.take({ charges: [{ policy, key: 'k', cost: 1 }] });
  await take();
  const fault = limitFault(await take(), 0.999);
  const [problem, envelope] = (['problem', 'envelope'] as const).map((family) => renderFault(fault, 'request', family));
  const refusal = { limit: { name: 'intake', policy: '"intake";q=1;w=60' }, retryAt: '2026-11-20T08:01:00.000Z' };
  expect(JSON.parse(problem!.body)).toMatchObject({ code: 'rate-limited', ...refusal });
  expect(JSON.parse(envelope!.body)).toMatchObject({
    statusCode: 429,
    error: 'Too Many Requests',
    code: 'RATE_LIMITED',
    details: refusal,
  });
  // The window's end, and up to a quarter more, so that not everybody comes back in that second.
  expect([problem, envelope].map((answer) => answer!.headers['retry-after'])).toEqual(['75', '75']);
});

test('what a key sees are the limits that its answers carry, and no others', async () => {
  const world = await openLimitedWorld();
  await world.setProductLimit('traccar', { limit: 5, windowSeconds: 60, total: { limit: 9, windowSeconds: 60 } });
  const vin = '1UYVS2533P7204518';
  const named = (fields: (string | null)[]) =>
    new Set(fields.flatMap((field) => [...(field ?? '').matchAll(/"([^"]+)";q/g)].map(([, name]) => name)));
  const carried = async (calls: Promise<{ headers: Headers }>[]) =>
    named((await Promise.all(calls)).map(({ headers }) => headers.get('ratelimit-policy')));
  for (const [audience, scopes] of [
    ['partner', ['telemetry:write', 'product:traccar']],
    ['customer', CUSTOMER_SCOPES],
    ['customer', ['fleets:read']],
  ] as const) {
    const organizationId = audience === 'partner' ? world.operatorId : world.customerId;
    const key = await world.issueKey(organizationId, audience, scopes);
    const trade = () => world.call('POST', `/api/v1/${audience}s/authenticate`, { headers: { 'x-api-key': key } });
    const token = (await trade()).json.accessToken as string;
    const read = audience === 'partner' ? '/api/v1/usage' : '/api/v1/fleets';
    const seen = await carried([
      trade(),
      world.call('GET', read, { token }),
      world.call('PUT', `/api/v1/${audience}s/rotate`, { token, headers: { 'content-type': 'text/plain' }, body: 'x' }),
      ...(audience === 'partner' ? [world.submit(token, vin)] : []),
    ]);
    // Told to nobody who has no failures; streams are asked for over gRPC.
    const more = ['authenticate-failures', ...(scopes.includes('livefeed:connect' as never) ? ['streams'] : [])];
    const { limits } = (await world.call('GET', `/api/v1/limits?vin=${vin}`, { token })).json;
    const names = limits.map((limit: { name: string }) => limit.name);
    expect([audience, [...names].sort()]).toEqual([audience, [...seen, ...more].sort()]);
  }
});

test('in the overlap of a rotation either generation sees its own tries to authenticate', async () => {
  const world = await openLimitedWorld();
  const key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
  const trade = async (apiKey: string) =>
    (await world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': apiKey } })).json.accessToken;
  const left = async (token: string) => {
    const { json } = await world.call('GET', '/api/v1/limits', { token });
    return json.limits.find(({ name }: { name: string }) => name === 'authenticate').remaining;
  };
  const old = await trade(key);
  await trade(key);
  const rotated = await send(world, 'PUT', '/customers/rotate', { overlapSeconds: 60 }, old);
  const fresh = await trade(rotated.json.key);
  expect([await left(old), await left(fresh)]).toEqual([8, 9]);
});
