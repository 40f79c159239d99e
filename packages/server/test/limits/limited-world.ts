import type { Clock } from '@gladhand/base/clock.ts';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { openInstalledRedis } from '@gladhand/proofs/rig/installed-redis.ts';
import { createClient } from '@redis/client';
import pg from 'pg';
import { describe, onTestFinished, vi } from 'vitest';
import { type App, openApp } from '../../src/app/build.ts';
import { loadConfig } from '../../src/config.ts';
import { type Answer, openTestApp, type TestApp } from '../app.ts';
import { personToken, send } from '../people.ts';
import { describeWithRedis } from '../redis.ts';

/** A server whose limits a test sets through the API, as an operator would. */
export interface LimitedWorld extends TestApp {
  /** The session of a platform operator. */
  readonly operator: string;
  readonly clock: ShiftedClock;
  /** Lets whole windows, or seconds of a bucket, go by. */
  pass(seconds: number): Promise<void>;
  /** Resolves at a moment when the window is not about to end, so that it does not while the test runs. */
  beginWindow(seconds: number): Promise<void>;
  /** Sets the plan that everybody is on. */
  setPlan(change: object): Promise<Answer>;
  setProductLimit(product: string, limit: object): Promise<Answer>;
  /** A partner's token for `product`. */
  partnerToken(product: string, organizationId?: string): Promise<string>;
  submit(token: string, vin: string, options?: { payload?: string; headers?: Record<string, string> }): Promise<Answer>;
  /** Another server on the same database, in this process. */
  openNode(flags?: Record<string, unknown>): Promise<App>;
}

/** The system's time, moved. Timers run by the system. */
export interface ShiftedClock extends Clock {
  advance(ms: number): void;
}

export function createShiftedClock(): ShiftedClock {
  let shiftMs = 0;
  return {
    nowMs: () => systemClock.nowMs() + shiftMs,
    monotonicMs: () => systemClock.monotonicMs() + shiftMs,
    after: systemClock.after,
    advance(ms) {
      shiftMs += ms;
    },
  };
}

export const SECRET = 'cd'.repeat(32);
/** What the format `traccar` takes, whatever of it is kept. */
export const TRACCAR = JSON.stringify({
  position: { latitude: 52, longitude: 5, fixTime: '2026-11-20T08:00:00Z', valid: true },
  device: { uniqueId: 'd' },
});
export const FLESPI = JSON.stringify([
  { ident: 'd', timestamp: 1_795_161_600, 'position.latitude': 52, 'position.longitude': 5 },
]);

export type OpenLimitedWorld = (flags?: Record<string, unknown>) => Promise<LimitedWorld>;

/** What callers see of limits is the same whoever counts: one suite, for memory and for Redis. */
export function describeLimited(name: string, suite: (open: OpenLimitedWorld) => void): void {
  describe(`${name}, counted in memory`, () => suite(openLimitedWorld));
  describeWithRedis(`${name}, counted in Redis`, () => suite(openRedisWorld));
}

export async function openLimitedWorld(flags: Record<string, unknown> = {}): Promise<LimitedWorld> {
  const clock = createShiftedClock();
  const world = await openTestApp({ clock, flags: { 'access.secret': SECRET, ...flags } });
  const operator = await personToken(world, world.operatorId, 'ADMIN');
  const good = (answer: Answer) => {
    if (answer.status >= 400) throw new Error(answer.text);
    return answer;
  };
  return {
    ...world,
    operator,
    clock,
    pass: async (seconds) => clock.advance(seconds * 1000),
    beginWindow: async (seconds) => clock.advance(seconds * 1000 - (clock.nowMs() % (seconds * 1000))),
    setPlan: async (change) => good(await send(world, 'PATCH', '/plans/standard', change, operator)),
    setProductLimit: async (product, limit) =>
      good(await send(world, 'PUT', `/products/${product}/limit`, limit, operator)),
    partnerToken: (product, organizationId = world.operatorId) =>
      world.token(organizationId, 'partner', ['telemetry:write', `product:${product}`]),
    submit: (token, vin, { payload = TRACCAR, headers = {} } = {}) =>
      world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
        token,
        headers: { 'content-type': 'application/json', ...headers },
        body: payload,
      }),
    async openNode(nodeFlags = {}) {
      const { host, port, user, password, database } = world.app.backends.database.host.connection;
      const url = `postgres://${user}:${encodeURIComponent(String(password))}@/${database}?host=${encodeURIComponent(String(host))}&port=${port}`;
      const all = {
        'http.port': 0,
        'grpc.port': 0,
        'database.url': url,
        'demo.enabled': false,
        'limits.perNode': true,
        'access.secret': SECRET,
        ...flags,
        ...nodeFlags,
      };
      const app = await openApp(loadConfig({ env: {}, flags: all }), { clock, ids: systemIds, log: silentLogger });
      onTestFinished(() => app.close());
      return app;
    },
  };
}

/** Not the 25 ms of a server: this machine may be busy with other tests. */
const REDIS_WAIT_MS_MAX = 10_000;
/** Of the window: what a test needs at most. */
const WINDOW_LEFT_MS_MIN = 20_000;

/**
 * The same with limits in a Redis of its own. Its time is its own and cannot be moved: instead of letting time go by, what
 * it keeps is made older.
 */
async function openRedisWorld(flags: Record<string, unknown> = {}): Promise<LimitedWorld> {
  const redis = await openInstalledRedis();
  onTestFinished(() => redis.close());
  const world = await openLimitedWorld({
    'limits.perNode': false,
    'limits.redisUrl': redis.url,
    'limits.redisWaitMsMax': REDIS_WAIT_MS_MAX,
    ...flags,
  });
  return {
    ...world,
    async pass(seconds) {
      const client = await createClient({ url: redis.url }).connect();
      try {
        for (const key of await client.keys('*')) {
          if ((await client.type(key)) !== 'string') continue;
          const [second, parts] = (await client.get(key))!.split(' ');
          await client.set(key, `${Number(second) - seconds} ${parts}`, { expiration: 'KEEPTTL' });
        }
      } finally {
        client.destroy();
      }
    },
    async beginWindow(seconds) {
      const windowMs = seconds * 1000;
      const leftMs = () => windowMs - (systemClock.nowMs() % windowMs);
      if (windowMs > WINDOW_LEFT_MS_MIN)
        await vi.waitUntil(() => leftMs() >= WINDOW_LEFT_MS_MIN, {
          timeout: WINDOW_LEFT_MS_MIN + 5_000,
          interval: 100,
        });
    },
  };
}

/** Requests of the customer that stand in line, seen from inside. */
export function waiting(world: LimitedWorld): number {
  return world.app.limitRoom.line.length(world.customerId);
}

/** Keeps every read of fleets waiting until it is called. */
export async function holdFleets(world: LimitedWorld): Promise<() => Promise<void>> {
  const owner = new pg.Client(world.app.backends.database.host.connection);
  await owner.connect();
  onTestFinished(() => owner.end());
  await owner.query('begin; lock table fleet in access exclusive mode');
  return async () => {
    await owner.query('rollback');
  };
}
