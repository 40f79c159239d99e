import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { openInstalledRedis } from '@gladhand/proofs/rig/installed-redis.ts';
import { expect, onTestFinished, test } from 'vitest';
import { CUSTOMER_SCOPES } from '../app.ts';
import { describeWithRedis } from '../redis.ts';
import { openLimitedWorld } from './limited-world.ts';

/** Several nodes on one database: either they count together, or somebody said that they need not. */
const VIN = '1UYVS2533P7204518';

test('a node that would count for itself refuses to start beside another, and says which setting is missing', async () => {
  const world = await openLimitedWorld({ 'limits.perNode': false });
  const started = world.openNode({ 'limits.perNode': false });
  await expect(started).rejects.toThrow(StartRefusal);
  await expect(started).rejects.toThrow(/limits\.redisUrl \(GLADHAND_LIMITS_REDIS_URL\)[\s\S]*limits\.perNode = true/);
  // What the first one takes for granted does not change because the second one knows better.
  await expect(world.openNode({ 'limits.perNode': true })).rejects.toThrow(/as if it were alone/);
});

test('with limits.perNode several nodes start, and one that wants to be alone does not', async () => {
  const world = await openLimitedWorld();
  await world.openNode();
  await expect(world.openNode({ 'limits.perNode': false })).rejects.toThrow(StartRefusal);
});

describeWithRedis('with Redis', () => {
  async function openNodes() {
    const redis = await openInstalledRedis();
    onTestFinished(() => redis.close());
    const world = await openLimitedWorld({ 'limits.perNode': false, 'limits.redisUrl': redis.url });
    const other = await world.openNode();
    return { redis, world, other, otherBase: `http://127.0.0.1:${other.httpPort}` };
  }

  test('two nodes admit together what one may, and tell the same in headers and bodies', async () => {
    const { world, otherBase } = await openNodes();
    await world.setProductLimit('traccar', { limit: 6, windowSeconds: 86_400 });
    const token = await world.partnerToken('traccar');
    const submit = async (base: string) => {
      const answer = await fetch(`${base}/api/v1/telemetry/intake/${VIN}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: '{"position":{"latitude":52,"longitude":5,"fixTime":"2026-11-20T08:00:00Z","valid":true},"device":{"uniqueId":"d"}}',
      });
      return { status: answer.status, headers: answer.headers, json: (await answer.json()) as any };
    };
    await expect
      .poll(async () => (await submit(otherBase)).headers.get('ratelimit-policy'))
      .toBe('"intake";q=6;w=86400');
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, at) => submit(at % 2 === 0 ? world.base : otherBase)),
    );
    // One of the six was the one that asked for the new limit to be known, or more of them.
    expect(answers.filter(({ status }) => status === 202).length).toBeLessThanOrEqual(5);
    const [one, two] = [await submit(world.base), await submit(otherBase)];
    for (const { status, headers, json } of [one, two]) {
      expect([status, json.code]).toEqual([429, 'rate-limited']);
      expect(headers.get('ratelimit')).toMatch(/^"intake";r=0;t=\d+$/);
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(json.limit).toEqual({ name: 'intake', policy: '"intake";q=6;w=86400' });
    }
    expect(one.json.retryAt).toBe(two.json.retryAt);
    const { limits } = (await world.call('GET', `/api/v1/limits?vin=${VIN}`, { token })).json;
    expect(limits[0]).toMatchObject({ name: 'intake', remaining: 0 });
  });

  test('reads, slots and failed authentications count over all nodes, and what a node held comes free with it', async () => {
    const { world, other, otherBase } = await openNodes();
    await world.setPlan({ readCapacity: 4, readRefillPerSecond: 0.001, streamsMax: 1 });
    const token = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
    const read = async (base: string) =>
      (await fetch(`${base}/api/v1/fleets`, { headers: { authorization: `Bearer ${token}` } })).status;
    const openSlot = (app: typeof other) =>
      app.limitRoom.openStreamSlot({ organizationId: world.customerId, keyId: world.customerId } as never);
    await openSlot(other);
    await expect(openSlot(world.app)).rejects.toMatchObject({ code: 'too-many-streams' });
    const statuses = [];
    for (let sent = 0; sent < 6; sent += 1) statuses.push(await read(sent % 2 === 0 ? world.base : otherBase));
    expect(statuses).toEqual([200, 200, 200, 200, 429, 429]);
    const trade = async (base: string) =>
      (await fetch(`${base}/api/v1/customers/authenticate`, { method: 'POST', headers: { 'x-api-key': 'nonsense' } }))
        .status;
    const tried = [];
    for (let sent = 0; sent < 62; sent += 1) tried.push(await trade(sent % 2 === 0 ? world.base : otherBase));
    // Twice as many where a window of five minutes ended between them.
    const failed = tried.filter((status) => status === 401).length;
    expect(failed).toBeGreaterThanOrEqual(30);
    expect(failed).toBeLessThanOrEqual(60);
    await other.close();
    await expect
      .poll(() =>
        openSlot(world.app).then(
          () => 'free',
          () => 'taken',
        ),
      )
      .toBe('free');
  });

  test('while Redis is away a node goes by its share: neither everything nor nothing passes', async () => {
    const { redis, world } = await openNodes();
    const token = await world.partnerToken('traccar');
    await world.setProductLimit('traccar', { limit: 10, windowSeconds: 86_400 });
    const shared = async () => (await fetch(`${world.base}/metrics`)).text();
    await redis.kill();
    await expect.poll(shared).toContain('gladhand_limits_shared 0');
    const statuses = [];
    for (let sent = 0; sent < 20; sent += 1) statuses.push((await world.submit(token, VIN)).status);
    const admitted = statuses.filter((status) => status === 202).length;
    expect(admitted).toBeGreaterThan(0);
    expect(admitted).toBeLessThanOrEqual(10);
    await redis.start();
    await expect.poll(shared, { timeout: 10_000 }).toContain('gladhand_limits_shared 1');
  });
});
