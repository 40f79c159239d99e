import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { CUSTOMER_SCOPES, type TestApp } from '../app.ts';
import { send } from '../people.ts';
import { describeLimited, holdFleets, waiting } from './limited-world.ts';

/** Customers have a token bucket, and so many requests at once as their plan allows; the rest waits its turn. */

/** How many requests the customer of `token` may still have under way. */
async function slotsLeft(world: Pick<TestApp, 'call'>, token: string): Promise<number | undefined> {
  const limits: { name: string; remaining: number }[] = (await world.call('GET', '/api/v1/limits', { token })).json
    .limits;
  return limits.find(({ name }) => name === 'concurrent-requests')?.remaining;
}

describeLimited('reads', (open) => {
  async function openWorld(plan: object) {
    const world = await open();
    await world.setPlan(plan);
    const token = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
    const rival = await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES);
    const fleets = (as = token) => world.call('GET', '/api/v1/fleets', { token: as });
    return { world, token, rival, fleets };
  }

  test('the bucket starts full, is empty after that, and fills again by the second', async () => {
    const { world, fleets, rival } = await openWorld({ readCapacity: 5, readRefillPerSecond: 2 });
    const first = await fleets();
    expect(first.status).toBe(200);
    expect(first.headers.get('ratelimit-policy')).toBe(
      '"read";q=5;w=3, "concurrent-requests";q=50;qu="concurrent-requests"',
    );
    expect(first.headers.get('ratelimit')).toMatch(/^"read";r=4;t=1, "concurrent-requests";r=49$/);
    const statuses: number[] = [];
    for (let sent = 0; sent < 30; sent += 1) statuses.push((await fleets()).status);
    expect(statuses.slice(0, 4)).toEqual([200, 200, 200, 200]);
    // However many seconds ended meanwhile.
    let refused = await fleets();
    while (refused.status === 200) refused = await fleets();
    expect(refused.json).toMatchObject({ code: 'rate-limited', limit: { name: 'read', policy: '"read";q=5;w=3' } });
    expect(refused.json.detail).toContain('The limit `read` of 5, of which 2 come back each second, is used up.');
    expect(Date.parse(refused.json.retryAt) % 1_000).toBe(0);
    expect((await fleets(rival)).status).toBe(200);
    await world.pass(1);
    expect((await fleets()).status).toBe(200);
  });

  test('beyond the slots of the plan requests wait in line, are answered in turn, and the rest is refused at once', async () => {
    const plan = { concurrentRequestsMax: 1, waitMsMax: 10_000, waitingRequestsMax: 2 };
    const { world, token, rival, fleets } = await openWorld(plan);
    const release = await holdFleets(world);
    const answered: number[] = [];
    const ask = async (who: number) => {
      const answer = await fleets();
      answered.push(who);
      expect(answer.status).toBe(200);
    };
    const one = ask(1);
    await expect.poll(() => slotsLeft(world, token)).toBe(0);
    const two = ask(2);
    await expect.poll(() => waiting(world)).toBe(1);
    const three = ask(3);
    await expect.poll(() => waiting(world)).toBe(2);
    const refused = await fleets();
    expect(refused.status).toBe(429);
    expect(refused.json).toMatchObject({
      code: 'too-many-concurrent-requests',
      limit: { name: 'concurrent-requests', policy: '"concurrent-requests";q=1;qu="concurrent-requests"' },
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    const rivals = fleets(rival);
    await release();
    await Promise.all([one, two, three]);
    expect(answered).toEqual([1, 2, 3]);
    expect((await rivals).status).toBe(200);
    expect(await slotsLeft(world, token)).toBe(1);
  });

  test('who has waited as long as the plan lets it is refused', async () => {
    const plan = { concurrentRequestsMax: 1, waitMsMax: 100, waitingRequestsMax: 2 };
    const { world, token, fleets } = await openWorld(plan);
    const release = await holdFleets(world);
    const first = fleets();
    // Otherwise the second request could have the slot, and wait for the release.
    await expect.poll(() => slotsLeft(world, token)).toBe(0);
    await expect.poll(async () => (await fleets()).json.code).toBe('too-many-concurrent-requests');
    await release();
    expect((await first).status).toBe(200);
  });

  test('a client that hangs up gives back its slot, or its place in line', async () => {
    const plan = { concurrentRequestsMax: 1, waitMsMax: 10_000, waitingRequestsMax: 1 };
    const { world, token, fleets } = await openWorld(plan);
    const release = await holdFleets(world);
    const hangUp = (socket: ReturnType<typeof connect>) => void socket.destroy();
    const open = () => {
      const socket = connect(world.app.httpPort, '127.0.0.1');
      onTestFinished(() => hangUp(socket));
      socket.on('error', () => {});
      socket.write(`GET /api/v1/fleets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
      return socket;
    };
    const remaining = () => slotsLeft(world, token);
    const holding = open();
    await expect.poll(remaining).toBe(0);
    const inLine = open();
    await expect.poll(() => waiting(world)).toBe(1);
    hangUp(inLine);
    await expect.poll(() => waiting(world)).toBe(0);
    hangUp(holding);
    await expect.poll(remaining).toBe(1);
    await release();
    expect((await fleets()).status).toBe(200);
  });

  test('an edited plan counts on another node within a second, and so does another plan for an organization', async () => {
    const { world, token } = await openWorld({ readCapacity: 1_000, readRefillPerSecond: 100 });
    const other = await world.openNode();
    const onOther = () =>
      fetch(`http://127.0.0.1:${other.httpPort}/api/v1/fleets`, { headers: { authorization: `Bearer ${token}` } });
    const policy = async () => (await onOther()).headers.get('ratelimit-policy')?.split(',')[0];
    expect(await policy()).toBe('"read";q=1000;w=10');
    await world.setPlan({ readCapacity: 800 });
    await expect.poll(policy, { timeout: 1_000 }).toBe('"read";q=800;w=8');
    const order = {
      slug: 'small',
      name: 'Small',
      mode: 'enforce',
      readCapacity: 2,
      readRefillPerSecond: 1,
      concurrentRequestsMax: 5,
      waitMsMax: 0,
      waitingRequestsMax: 0,
      streamsMax: 1,
    };
    const plan = (await send(world, 'POST', '/plans', order, world.operator)).json;
    const changed = await send(world, 'PATCH', '/organizations/customer', { planId: plan.id }, world.operator);
    expect(changed.json).toMatchObject({ slug: 'customer', planId: plan.id });
    await expect.poll(policy, { timeout: 1_000 }).toBe('"read";q=2;w=2');
    await expect.poll(async () => (await onOther()).status, { timeout: 5_000 }).toBe(429);
  });

  test('what a plan announces is reported and refuses nobody', async () => {
    const proposed = { readCapacity: 2, readRefillPerSecond: 0.001, concurrentRequestsMax: 1 };
    const { world, token, rival, fleets } = await openWorld({ proposed });
    for (let sent = 0; sent < 4; sent += 1) expect((await fleets()).status).toBe(200);
    const release = await holdFleets(world);
    const both = [fleets(rival), fleets(rival)];
    const metric = 'gladhand_limit_decisions_total{limit="concurrent-requests-proposed",outcome="would-refuse"} 1';
    await expect.poll(async () => (await fetch(`${world.base}/metrics`)).text()).toContain(metric);
    await release();
    expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200]);
    const metrics = await (await fetch(`${world.base}/metrics`)).text();
    expect(metrics).toContain('gladhand_limit_decisions_total{limit="read-proposed",outcome="would-refuse"} 2');
    const { limits } = (await world.call('GET', '/api/v1/limits', { token })).json;
    expect(limits).toContainEqual(
      expect.objectContaining({ name: 'read-proposed', mode: 'report', quota: 2, remaining: 0 }),
    );
    expect(limits).toContainEqual(expect.objectContaining({ name: 'concurrent-requests-proposed', quota: 1 }));
  });
});
