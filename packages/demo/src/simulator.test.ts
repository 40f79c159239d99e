import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '@gladhand/base/log.ts';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createManualClock } from '../../server/test/manual-clock.ts';
import { createSimulator, type SimulatorOptions } from './simulator.ts';
import { createDemoWorld } from './world.ts';

const START_MS = Date.UTC(2026, 10, 20, 14);
const world = createDemoWorld({ seed: 3 });
const vinsOf = (product: string, count = 99) =>
  world.assets
    .filter((asset) => asset.product === product)
    .slice(0, count)
    .map((asset) => asset.vin);

interface Received {
  readonly vin: string;
  readonly body: string;
  readonly token: string;
  readonly atMs: number;
}

/** A stub API. It gives out tokens and answers 202, unless `answer` returns another answer. */
async function openStub(nowMs: () => number) {
  const received: Received[] = [];
  const authentications: string[] = [];
  let answer: (received: Received, response: ServerResponse) => 'handled' | number = () => 202;
  const server: Server = createServer(async (request: IncomingMessage, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.url === '/api/v1/partners/authenticate') {
      const key = String(request.headers['x-api-key']);
      authentications.push(key);
      const issued = { accessToken: `${key} ${authentications.length}`, tokenType: 'Bearer', expiresIn: 1800 };
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(issued));
    }
    const message = {
      vin: String(request.url).replace('/api/v1/telemetry/intake/', ''),
      body,
      token: String(request.headers.authorization).replace('Bearer ', ''),
      atMs: nowMs(),
    };
    const status = answer(message, response);
    received.push(message);
    if (status !== 'handled') response.writeHead(status).end('{}');
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(close);
  return {
    received,
    authentications,
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answerWith(next: typeof answer) {
      answer = next;
    },
    connections: () => new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count))),
  };
}

async function openDemo(keys: SimulatorOptions['keys'], options: Partial<SimulatorOptions> = {}) {
  const clock = createManualClock(START_MS);
  const stub = await openStub(() => clock.nowMs());
  const simulator = createSimulator({
    world,
    keys,
    baseUrl: stub.baseUrl,
    clock,
    log: silentLogger,
    ...options,
  });
  onTestFinished(async () => {
    const stopping = simulator.stop();
    clock.advance(600);
    await stopping;
  });
  /** Advances the time second by second. After each second it waits until no request is in progress. */
  async function pass(seconds: number) {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1000);
      await settled();
    }
  }
  /** Waits until every request is answered and no new one follows. */
  async function settled() {
    await vi.waitUntil(() => simulator.sent.underWay === 0, { timeout: 20_000, interval: 1 });
  }
  return { clock, stub, simulator, pass, settled };
}

const fixTime = (message: Received) => Date.parse(JSON.parse(message.body).position.fixTime);

test('the first hour of every named vehicle and of a stranger is sent at once', async () => {
  const keys = (['traccar', 'samsara', 'flespi', 'deliversafe'] as const).map((product) => ({
    product,
    key: product,
    vins: vinsOf(product),
  }));
  const { simulator, stub, settled } = await openDemo(keys);
  simulator.start();
  await settled();
  const everyone = [...world.assets, ...world.strangers].map((asset) => asset.vin);
  expect(new Set(stub.received.map((message) => message.vin))).toEqual(new Set(everyone));
  expect(simulator.sent.readings).toBe(8 * 61 + 22 * 121 + 1);
  expect(simulator.sent.accepted).toBe(stub.received.length);
  for (const message of stub.received) {
    const product = message.token.split(' ')[0];
    const asset = [...world.assets, ...world.strangers].find(({ vin }) => vin === message.vin);
    expect(product).toBe(asset?.product);
  }
});

test('a partner authenticates once, and again before its token expires', async () => {
  const { simulator, stub, settled, clock } = await openDemo([
    { product: 'traccar', key: 'a', vins: vinsOf('traccar', 3) },
    { product: 'flespi', key: 'b', vins: vinsOf('flespi', 2) },
  ]);
  simulator.start();
  await settled();
  expect(stub.authentications.toSorted()).toEqual(['a', 'b']);
  clock.advance(1500 * 1000);
  await settled();
  expect(stub.authentications.toSorted()).toEqual(['a', 'a', 'b', 'b']);
  expect(simulator.sent.authentications).toBe(4);
});

test('a refused token is replaced once and the message follows with the same bytes', async () => {
  const { simulator, stub, settled } = await openDemo([{ product: 'traccar', key: 'a', vins: vinsOf('traccar', 1) }]);
  stub.answerWith((message) => (message.token === 'a 1' ? 401 : 202));
  simulator.start();
  await settled();
  expect(stub.authentications).toEqual(['a', 'a']);
  expect(stub.received[1]).toMatchObject({ token: 'a 2', body: stub.received[0]!.body });
  expect(simulator.sent).toMatchObject({ refused: 0, accepted: 61 });
});

test('a refused key is tried again at growing intervals', async () => {
  const { simulator, stub, pass } = await openDemo([{ product: 'traccar', key: 'a', vins: vinsOf('traccar') }]);
  stub.answerWith(() => 401);
  simulator.start();
  await pass(300);
  expect(stub.authentications.length).toBeGreaterThan(2);
  expect(stub.authentications.length).toBeLessThan(24);
  expect(simulator.sent.accepted).toBe(0);
});

test('after 429 that vehicle sends nothing until Retry-After has passed, and nothing is lost or reordered', async () => {
  const [limited] = vinsOf('traccar', 1);
  const { simulator, stub, pass, settled, clock } = await openDemo([
    { product: 'traccar', key: 'a', vins: vinsOf('traccar', 2) },
  ]);
  let refusals = 0;
  stub.answerWith((message, response) => {
    if (message.vin !== limited || refusals >= 2) return 202;
    refusals++;
    response.writeHead(429, { 'retry-after': '30' }).end('{}');
    return 'handled';
  });
  simulator.start();
  await settled();
  const others = stub.received.filter(({ vin }) => vin !== limited).length;
  expect(others).toBe(61);
  await pass(29);
  expect(stub.received.filter(({ vin }) => vin === limited)).toHaveLength(1);
  await pass(60);
  const mine = stub.received.filter(({ vin }) => vin === limited);
  expect(mine[1]!.body).toBe(mine[0]!.body);
  expect(mine[1]!.atMs - mine[0]!.atMs).toBeGreaterThanOrEqual(30_000);
  expect(mine[2]!.body).toBe(mine[0]!.body);
  expect(simulator.sent.throttled).toBe(2);
  await pass(20);
  const times = stub.received
    .filter(({ vin }) => vin === limited)
    .slice(2)
    .map(fixTime);
  const news = times.filter((atMs, index) => !times.slice(0, index).includes(atMs));
  expect(news).toEqual(news.toSorted((a, b) => a - b));
  expect(clock.nowMs() - news.at(-1)!).toBeLessThan(30_000);
});

test('after 503 the whole partner sends nothing until Retry-After has passed, and then one request at a time', async () => {
  const { simulator, stub, pass, settled } = await openDemo([{ product: 'flespi', key: 'a', vins: vinsOf('flespi') }]);
  stub.answerWith((_message, response) => {
    response.writeHead(503, { 'retry-after': '20' }).end('{}');
    return 'handled';
  });
  simulator.start();
  await settled();
  const first = stub.received.length;
  expect(first).toBeLessThanOrEqual(4);
  await pass(19);
  expect(stub.received).toHaveLength(first);
  await pass(12);
  expect(stub.received).toHaveLength(first + 1);
  stub.answerWith(() => 202);
  await pass(40);
  expect(simulator.sent.readings).toBeGreaterThan(5 * 121); // all that have coverage
});

test('messages for a server that is down are kept and sent later with the same bytes', async () => {
  const { simulator, stub, pass } = await openDemo([{ product: 'traccar', key: 'a', vins: vinsOf('traccar', 2) }]);
  stub.answerWith((_message, response) => {
    response.destroy();
    return 'handled';
  });
  simulator.start();
  await pass(120);
  const bodies = new Set(stub.received.map((message) => message.body));
  expect(bodies.size).toBe(2);
  expect(simulator.sent.unavailable).toBe(stub.received.length);
  stub.answerWith(() => 202);
  await pass(120);
  expect(simulator.sent.readings).toBeGreaterThan(2 * (61 + 120 / 15));
  expect(simulator.sent.lateReadings).toBeGreaterThan(0);
});

test('some messages are sent twice with the same bytes, and some readings arrive minutes late', async () => {
  const { simulator, stub, pass } = await openDemo([{ product: 'flespi', key: 'a', vins: vinsOf('flespi') }], {
    historyMs: 0,
  });
  simulator.start();
  await pass(1500);
  const { accepted, repetitions, lateReadings, readings } = simulator.sent;
  const seen = new Set(stub.received.map((message) => message.vin + message.body));
  expect(accepted - seen.size).toBe(repetitions);
  expect(repetitions).toBeGreaterThan(accepted * 0.01);
  expect(repetitions).toBeLessThan(accepted * 0.08);
  expect(lateReadings).toBeGreaterThan(10);
  expect(lateReadings).toBeLessThan(readings * 0.3);
  const ages = stub.received.flatMap((message) =>
    (JSON.parse(message.body) as { timestamp: number }[]).map((each) => message.atMs - each.timestamp * 1000),
  );
  expect(Math.max(...ages)).toBeGreaterThan(60_000);
  expect(Math.min(...ages)).toBeGreaterThanOrEqual(0);
});

test('thirty vehicles together send three to ten messages a second', async () => {
  const keys = (['traccar', 'samsara', 'flespi', 'deliversafe'] as const).map((product) => ({
    product,
    key: product,
    vins: vinsOf(product),
  }));
  const { simulator, pass } = await openDemo(keys, { historyMs: 0 });
  simulator.start();
  await pass(60);
  const before = simulator.sent.requests;
  await pass(60);
  const perSecond = (simulator.sent.requests - before) / 60;
  expect(perSecond).toBeGreaterThan(3);
  expect(perSecond).toBeLessThan(10);
});

test('a message that the server will never accept is given up, and the next one is sent', async () => {
  const { simulator, stub, settled } = await openDemo([{ product: 'traccar', key: 'a', vins: vinsOf('traccar', 1) }]);
  stub.answerWith(() => (stub.received.length === 0 ? 400 : 202));
  simulator.start();
  await settled();
  expect(simulator.sent).toMatchObject({ refused: 1, accepted: 60 });
});

test('stop aborts requests without an answer and leaves no timer and no connection', async () => {
  const { simulator, stub, clock } = await openDemo([{ product: 'flespi', key: 'a', vins: vinsOf('flespi') }]);
  stub.answerWith(() => 'handled');
  simulator.start();
  clock.advance(3000);
  await vi.waitUntil(() => stub.received.length === 4, { timeout: 20_000, interval: 1 });
  const stopping = simulator.stop();
  clock.advance(600);
  await stopping;
  expect(clock.timers).toBe(0);
  await vi.waitUntil(async () => (await stub.connections()) === 0, { timeout: 20_000, interval: 5 });
  clock.advance(60_000);
  expect(stub.received).toHaveLength(4);
});

test('stop lets answered requests finish without waiting', async () => {
  const { simulator, stub, clock, settled } = await openDemo([{ product: 'flespi', key: 'a', vins: vinsOf('flespi') }]);
  simulator.start();
  await settled();
  await simulator.stop();
  expect(clock.timers).toBe(0);
  expect(simulator.sent.accepted).toBe(stub.received.length);
  expect(simulator.sent.requests).toBe(stub.received.length);
});
