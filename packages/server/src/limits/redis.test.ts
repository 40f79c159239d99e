import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { createLogger, silentLogger } from '@gladhand/base/log.ts';
import { type InstalledRedis, openInstalledRedis } from '@gladhand/proofs/rig/installed-redis.ts';
import { createClient } from '@redis/client';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { describeWithRedis } from '../../test/redis.ts';
import { openTcpProxy, type TcpProxy } from '../../test/tcp-proxy.ts';
import { bucketOf, describeLimits, describeSharedLimits, freshKey, slotsOf, windowOf } from './conformance.ts';
import type { Decision, Limits } from './limits.ts';
import { openRedisLimits, type RedisLimitsParts } from './redis.ts';

const base = { clock: systemClock, log: silentLogger };
/** Not the 25 ms of a server: this machine may be busy with other tests. */
const patientMsMax = 10_000;
const decisionMsMax = 250;
const openNode = (parts: Partial<RedisLimitsParts> & { url: string }) =>
  openRedisLimits({ ...base, decisionMsMax, nodeId: systemIds.uuid(), ...parts });

/** Until the clock of this machine, which is Redis's too, has moved on. */
async function passTime(ms: number): Promise<void> {
  const endMs = systemClock.nowMs() + ms;
  await vi.waitUntil(() => systemClock.nowMs() >= endMs, { timeout: 60_000, interval: 5 });
}

describeWithRedis('Redis', () => {
  let redis: InstalledRedis;
  beforeAll(async () => {
    redis = await openInstalledRedis();
  });
  afterAll(() => redis?.close());

  describeLimits('limits in Redis', async () => ({
    openNode: () => openNode({ url: redis.url, decisionMsMax: patientMsMax }),
    passTime,
  }));

  const leaseTtlMs = 1_500;
  describeSharedLimits('limits in Redis, of several nodes', async () => ({
    openNode: () => openNode({ url: redis.url, leaseTtlMs, decisionMsMax: patientMsMax }),
    passTime,
    leaseTtlMs,
    async openCrashing() {
      const proxy = await openTcpProxy(redis.port);
      const limits = await openNode({ url: `redis://127.0.0.1:${proxy.port}`, leaseTtlMs });
      return {
        limits,
        crash: () => proxy.cut(),
        async close() {
          await limits.close();
          await proxy.close();
        },
      };
    },
  }));

  test('an answer that came while this process was busy counts, however late it is read', async () => {
    const limits = await openNode({ url: redis.url, decisionMsMax: 25 });
    onTestFinished(() => limits.close());
    const decision = limits.take({ charges: [] });
    // By then it is written to the socket.
    await nextTurn();
    await nextTurn();
    const endMs = systemClock.monotonicMs() + 500;
    while (systemClock.monotonicMs() < endMs);
    expect((await decision).source).toBe('redis');
  });

  test('every key expires, and all lie under the prefix in one hash slot', async () => {
    const prefix = `test-${freshKey()}:`;
    const limits = await openNode({ url: redis.url, prefix });
    onTestFinished(() => limits.close());
    const client = await createClient({ url: redis.url }).connect();
    onTestFinished(() => client.destroy());
    const charges = [
      { policy: windowOf({ limit: 5, windowSeconds: 60 }), key: 'a', cost: 1 },
      { policy: bucketOf({ capacity: 5, refillPerSecond: 1 }), key: 'a', cost: 1 },
    ];
    await limits.take({ charges, slot: { policy: slotsOf({ slotsMax: 5 }), key: 'a' } });
    const keys = await client.keys(`${prefix}*`);
    expect(keys.sort()).toEqual(
      ['b:bucket:a', 'nodes', 's:slots:a', 'w:window:a'].map((name) => `${prefix}{limits}:${name}`),
    );
    for (const key of keys) expect(await client.pTTL(key)).toBeGreaterThan(0);
  });
});

describeWithRedis('a Redis in trouble', () => {
  const LIMIT = 100;
  const policy = windowOf({ limit: LIMIT, windowSeconds: 86_400 });

  /** Two nodes, each with a wire of its own, and what they wrote to their logs. */
  async function openTwoNodes() {
    const redis = await openInstalledRedis();
    onTestFinished(() => redis.close());
    const proxies: TcpProxy[] = [];
    const nodes: Limits[] = [];
    const lines: string[] = [];
    const log = createLogger({
      level: 'info',
      destination: { write: (line: string) => lines.push(line) } as unknown as NodeJS.WritableStream,
    });
    for (let node = 0; node < 2; node += 1) {
      const proxy = await openTcpProxy(redis.port);
      onTestFinished(() => proxy.close());
      const limits = await openNode({ url: `redis://127.0.0.1:${proxy.port}`, leaseTtlMs: 1_500, log });
      onTestFinished(() => limits.close());
      proxies.push(proxy);
      nodes.push(limits);
    }
    await vi.waitUntil(() => nodes.every((node) => node.nodes() === 2), { timeout: 10_000 });
    return { redis, proxies, nodes: nodes as [Limits, Limits], lines };
  }

  async function takeMany(nodes: readonly Limits[], times: number, key: string): Promise<Decision[]> {
    const decisions: Decision[] = [];
    for (let at = 0; at < times; at += 1) {
      for (const node of nodes) decisions.push(await node.take({ charges: [{ policy, key, cost: 1 }] }));
    }
    return decisions;
  }

  const admitted = (decisions: readonly Decision[]) => decisions.filter(({ allowed }) => allowed).length;
  const shared = (node: Limits) => node.peek({ charges: [] }).then(({ source }) => source === 'redis');
  const allShared = (nodes: readonly Limits[]) =>
    vi.waitUntil(async () => (await Promise.all(nodes.map(shared))).every(Boolean), { timeout: 20_000, interval: 20 });

  test('killed: the nodes go on by their shares, together admit the limit and no more, and find back when it starts', async () => {
    const { redis, nodes, lines } = await openTwoNodes();
    const key = freshKey();
    const before = await takeMany(nodes, 20, key);
    expect(admitted(before)).toBe(40);
    await redis.kill();
    const during = await takeMany(nodes, 200, key);
    expect(new Set(during.map(({ source }) => source))).toEqual(new Set(['share']));
    // What was left, 60: each node's share of it is 30, give or take what it had not heard of.
    expect(admitted(during)).toBeGreaterThanOrEqual(58);
    expect(admitted(during)).toBeLessThanOrEqual(62);
    await redis.start();
    await allShared(nodes);
    // It lost what it knew, and is told.
    const after = await takeMany(nodes, 50, key);
    expect(after.every(({ source }) => source === 'redis')).toBe(true);
    expect(admitted(after)).toBeLessThanOrEqual(2);
    const said = lines.map((line) => JSON.parse(line).msg as string);
    expect(said.filter((message) => message.startsWith('limits are shared'))).toHaveLength(4);
    expect(said.filter((message) => message.startsWith('Redis does not decide'))).toHaveLength(2);
  });

  test('hung: requests are decided all the same, by the share, and by Redis when it goes on', async () => {
    const { redis, nodes } = await openTwoNodes();
    onTestFinished(() => redis.resume());
    const key = freshKey();
    await takeMany(nodes, 10, key);
    redis.stop();
    const during = await takeMany(nodes, 300, key);
    expect(during.every(({ source }) => source === 'share')).toBe(true);
    expect(admitted(during)).toBeGreaterThanOrEqual(76);
    // Redis may yet carry out what it was asked while it hung.
    expect(admitted(during)).toBeLessThanOrEqual(82);
    redis.resume();
    await allShared(nodes);
    expect(admitted(await takeMany(nodes, 50, key))).toBeLessThanOrEqual(4);
  });

  test('hung: what the nodes used up meanwhile to the last unit stays used up, though they can only be refused when they tell', async () => {
    const { redis, nodes } = await openTwoNodes();
    onTestFinished(() => redis.resume());
    const key = freshKey();
    // Even counts, so that the share of each node comes out without a rest.
    for (const node of nodes) await takeMany([node], 2, key);
    redis.stop();
    await takeMany(nodes, 100, key);
    redis.resume();
    await allShared(nodes);
    const after = await takeMany(nodes, 50, key);
    expect(after.every(({ source }) => source === 'redis')).toBe(true);
    expect(admitted(after)).toBe(0);
  });

  test('emptied: use so far is known from the nodes, so nobody gets his quota twice', async () => {
    const { redis, nodes } = await openTwoNodes();
    const client = await createClient({ url: redis.url }).connect();
    onTestFinished(() => client.destroy());
    const key = freshKey();
    const before = await takeMany(nodes, 25, key);
    await client.flushAll();
    await client.scriptFlush();
    const after = await takeMany(nodes, 100, key);
    expect(after.every(({ source }) => source === 'redis')).toBe(true);
    expect(admitted(before) + admitted(after)).toBeGreaterThanOrEqual(LIMIT);
    expect(admitted(before) + admitted(after)).toBeLessThanOrEqual(LIMIT + 2);
  });

  test('slow: after a few late answers no request waits for it, and it is asked again when it is quick', async () => {
    const { proxies, nodes } = await openTwoNodes();
    const key = freshKey();
    for (const proxy of proxies) proxy.delayMs = 300;
    let waits = 0;
    const patient = systemClock.after;
    const counting = vi.spyOn(systemClock, 'after').mockImplementation((delayMs, run) =>
      patient(delayMs, () => {
        if (delayMs === decisionMsMax) waits += 1;
        run();
      }),
    );
    onTestFinished(() => counting.mockRestore());
    const during = await takeMany(nodes, 200, key);
    expect(during.every(({ source }) => source === 'share')).toBe(true);
    // Three for each node, and its probes.
    expect(waits).toBeLessThanOrEqual(12);
    expect(admitted(during)).toBeGreaterThanOrEqual(98);
    expect(admitted(during)).toBeLessThanOrEqual(LIMIT);
    for (const proxy of proxies) proxy.delayMs = 0;
    await allShared(nodes);
  });

  test('away: slots are given by share, never none, and what is held is known again when it is back', async () => {
    const { redis, nodes } = await openTwoNodes();
    const [one, two] = nodes;
    const slot = { policy: slotsOf({ slotsMax: 10 }), key: freshKey() };
    const take = (node: Limits) => node.take({ charges: [], slot });
    const leases = [await take(one), await take(one)].flatMap(({ lease }) => lease ?? []);
    await redis.kill();
    for (let at = 0; at < 20; at += 1)
      for (const node of nodes) leases.push(...[(await take(node)).lease ?? []].flat());
    expect(leases).toHaveLength(10);
    expect((await take(two)).slot).toMatchObject({ fits: false, limit: 10 });
    leases.pop()!.release();
    await redis.start();
    await allShared(nodes);
    await vi.waitUntil(async () => (await one.peek({ charges: [], slot })).slot!.inUse === 9, { timeout: 10_000 });
    leases.push((await take(two)).lease!);
    expect((await take(one)).allowed).toBe(false);
    for (const lease of leases) lease.release();
    await vi.waitUntil(async () => (await two.peek({ charges: [], slot })).slot!.inUse === 0, { timeout: 10_000 });
  });

  test('not there at the start: the node starts, goes by the expected share, and finds Redis when it comes', async () => {
    const redis = await openInstalledRedis();
    onTestFinished(() => redis.close());
    await redis.kill();
    const seen: boolean[] = [];
    const limits = await openNode({ url: redis.url, nodesExpected: 4, onReach: (isShared) => seen.push(isShared) });
    onTestFinished(() => limits.close());
    expect(limits.nodes()).toBe(4);
    expect(admitted(await takeMany([limits], 200, freshKey()))).toBe(LIMIT / 4);
    await redis.start();
    await allShared([limits]);
    // One has spoken; that the others are gone is believed after a lease TTL.
    expect(limits.nodes()).toBe(4);
    expect(seen).toEqual([false, true]);
  });
});
