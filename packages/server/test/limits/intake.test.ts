import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import {
  describeLimited,
  FLESPI,
  type LimitedWorld,
  type OpenLimitedWorld,
  openLimitedWorld,
  TRACCAR,
} from './limited-world.ts';

/** Intake has a fixed window for each VIN within each product and each organization that sends. */
const [VIN, OTHER] = ['1UYVS2533P7204518', '1UYVS2533P7204519'];
const windowSeconds = 3_600;

describeLimited('intake', (open: OpenLimitedWorld) => {
  async function openWorld(limit: object = { limit: 3, windowSeconds }): Promise<LimitedWorld> {
    const world = await open();
    await world.setProductLimit('traccar', limit);
    await world.beginWindow(windowSeconds);
    return world;
  }

  test('every answer tells how the limit stands, and the one beyond it says which limit refused and until when', async () => {
    const world = await openWorld();
    const token = await world.partnerToken('traccar');
    for (const left of [2, 1, 0]) {
      const { status, headers } = await world.submit(token, VIN);
      expect(status).toBe(202);
      expect(headers.get('ratelimit-policy')).toBe('"intake";q=3;w=3600');
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"intake";r=${left};t=\\d+$`));
      expect(headers.get('retry-after')).toBeNull();
    }
    const refused = await world.submit(token, VIN);
    expect(refused.status).toBe(429);
    const boundaryMs = Math.ceil(world.clock.nowMs() / 3_600_000) * 3_600_000;
    expect(refused.json).toMatchObject({
      code: 'rate-limited',
      status: 429,
      retryable: true,
      limit: { name: 'intake', policy: '"intake";q=3;w=3600' },
      retryAt: new Date(boundaryMs).toISOString(),
    });
    expect(refused.json.detail).toContain(
      `The limit \`intake\` of 3 in 3600 s is used up. The next request is accepted at`,
    );
    const [, reset] = /^"intake";r=0;t=(\d+)$/.exec(refused.headers.get('ratelimit')!)!;
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(Number(reset));
    expect(refused.headers.get('ratelimit-policy')).toBe('"intake";q=3;w=3600');
  });

  test('a VIN, product or organization that uses up its limit touches no other', async () => {
    const world = await openWorld({ limit: 1, windowSeconds });
    await world.setProductLimit('flespi', { limit: 1, windowSeconds });
    const traccar = await world.partnerToken('traccar');
    const flespi = await world.partnerToken('flespi');
    const customers = await world.partnerToken('traccar', world.customerId);
    expect((await world.submit(traccar, VIN)).status).toBe(202);
    for (let sent = 0; sent < 20; sent += 1) expect((await world.submit(traccar, VIN)).status).toBe(429);
    expect((await world.submit(traccar, OTHER)).status).toBe(202);
    expect((await world.submit(flespi, VIN, { payload: FLESPI })).status).toBe(202);
    expect((await world.submit(customers, VIN)).status).toBe(202);
    // However a VIN is written, it is one.
    expect((await world.submit(traccar, VIN.toLowerCase())).status).toBe(429);
    // What is no VIN is refused, and uses nothing up.
    for (const name of ['A', 'B', 'A']) expect((await world.submit(traccar, name)).status).toBe(400);
  });

  test('a refusal comes before the body: nobody waits for a body that is refused anyway', async () => {
    const world = await openWorld({ limit: 1, windowSeconds });
    const token = await world.partnerToken('traccar');
    const head = (vin: string, ...more: string[]) =>
      [
        `POST /api/v1/telemetry/intake/${vin} HTTP/1.1`,
        'Host: x',
        `Authorization: Bearer ${token}`,
        'Content-Type: application/json',
        ...more,
        '\r\n',
      ].join('\r\n');
    expect((await world.submit(token, VIN)).status).toBe(202);
    const announced = await converse(world, head(VIN, 'Content-Length: 1000000'));
    expect(announced.text).toMatch(/^HTTP\/1.1 429 /);
    expect(announced.text).toMatch(/\r\nretry-after: \d+\r\n/);
    const asking = await converse(world, head(VIN, `Content-Length: ${TRACCAR.length}`, 'Expect: 100-continue'));
    expect(asking.text).toMatch(/^HTTP\/1.1 429 /);
    // One that is let in is told to go on, and then sends.
    const welcome = await converse(world, head(OTHER, `Content-Length: ${TRACCAR.length}`, 'Expect: 100-continue'));
    expect(welcome.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    expect(await welcome.say(TRACCAR)).toMatch(/HTTP\/1.1 202 /);
    // Longer than any body may be: the connection is not kept for it.
    const endless = await converse(world, head(VIN, 'Transfer-Encoding: chunked'));
    expect(endless.text).toMatch(/^HTTP\/1.1 429 [\s\S]*\r\nconnection: close\r\n/);
  });

  test('a limit that is announced is reported and refuses nobody, until it is made the one that holds', async () => {
    const world = await openWorld({ limit: 100, windowSeconds, proposed: { limit: 2, windowSeconds } });
    const token = await world.partnerToken('traccar');
    for (let sent = 0; sent < 5; sent += 1) {
      const { status, headers } = await world.submit(token, VIN);
      expect(status).toBe(202);
      expect(headers.get('ratelimit-policy')).toBe('"intake";q=100;w=3600');
    }
    const metrics = await (await fetch(`${world.base}/metrics`)).text();
    expect(metrics).toContain('gladhand_limit_decisions_total{limit="intake-proposed",outcome="would-refuse"} 3');
    expect(metrics).toContain('gladhand_limit_decisions_total{limit="intake",outcome="allowed"} 5');
    const { limits } = (await world.call('GET', `/api/v1/limits?vin=${VIN}`, { token })).json;
    expect(limits).toContainEqual(
      expect.objectContaining({ name: 'intake-proposed', mode: 'report', quota: 2, remaining: 0 }),
    );
    const usage = (await world.call('GET', '/api/v1/usage', { token })).json.data;
    expect(usage).toEqual([expect.objectContaining({ requests: 6, refused: 0, wouldRefuse: 3 })]);
    await world.setProductLimit('traccar', { limit: 2, windowSeconds });
    expect((await world.submit(token, VIN)).status).toBe(429);
  });

  test('a limit in report counts and refuses nobody', async () => {
    const world = await openWorld({ limit: 1, windowSeconds, mode: 'report' });
    const token = await world.partnerToken('traccar');
    for (let sent = 0; sent < 3; sent += 1) expect((await world.submit(token, VIN)).status).toBe(202);
    const [intake] = (await world.call('GET', `/api/v1/limits?vin=${VIN}`, { token })).json.limits;
    expect(intake).toMatchObject({ name: 'intake', mode: 'report', quota: 1, remaining: 0 });
  });

  test('a limit for all VINs of a product holds beside the one for each, and a VIN at its own uses none of it up', async () => {
    const world = await openWorld({ limit: 2, windowSeconds, total: { limit: 3, windowSeconds } });
    const token = await world.partnerToken('traccar');
    const statuses = [];
    for (let sent = 0; sent < 5; sent += 1) statuses.push((await world.submit(token, VIN)).status);
    expect(statuses).toEqual([202, 202, 429, 429, 429]);
    const last = await world.submit(token, OTHER);
    expect(last.status).toBe(202);
    expect(last.headers.get('ratelimit-policy')).toBe('"intake";q=2;w=3600, "intake-total";q=3;w=3600');
    const refused = await world.submit(token, OTHER);
    expect([refused.status, refused.json.limit.name]).toEqual([429, 'intake-total']);
  });
});

test('the window begins anew on its boundary, not a minute after the first request', async () => {
  const world = await openLimitedWorld();
  await world.setProductLimit('traccar', { limit: 3, windowSeconds: 60 });
  await world.beginWindow(60);
  const token = await world.partnerToken('traccar');
  world.clock.advance(45_000);
  for (let sent = 0; sent < 3; sent += 1) expect((await world.submit(token, VIN)).status).toBe(202);
  expect((await world.submit(token, VIN)).status).toBe(429);
  world.clock.advance(15_000);
  expect((await world.submit(token, VIN)).status).toBe(202);
});

/** Sends text over a connection of its own and reads what comes back first. */
async function converse(world: LimitedWorld, text: string) {
  const socket = connect(world.app.httpPort, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  const say = (more: string) =>
    new Promise<string>((resolve) => {
      socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1')));
      socket.write(more);
    });
  return { text: await say(text), say };
}
