import { onTestFinished } from 'vitest';
import { type App, openApp } from '../../src/app/build.ts';
import type { Clock } from '../../src/base/clock.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemIds } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { loadConfig } from '../../src/config.ts';
import { type Answer, openTestApp, type TestApp } from '../app.ts';
import { personToken, send } from '../people.ts';

/** A server whose limits a test sets through the API, as an operator would. */
export interface LimitedWorld extends TestApp {
  /** The session of a platform operator. */
  readonly operator: string;
  readonly clock: ShiftedClock;
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
