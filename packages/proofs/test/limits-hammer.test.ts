import { once } from 'node:events';
import { createServer } from 'node:http';
import { systemClock } from '@gladhand/base/clock.ts';
import { createMemoryLimits } from '@gladhand/server/limits/memory.ts';
import { expect, onTestFinished, test } from 'vitest';
import { type Asked, checkAdmitted, windowBudget } from '../src/prove/limits/check-admitted.ts';
import { countStatuses, getRequest, type Hammered, openHammer, placesWith } from '../src/prove/limits/hammer.ts';
import { withScratch } from '../src/rig/scratch.ts';

/** The proof of the limits, as far as it can be tried without a whole installation: hammer and check on a bare server. */
const LIMIT = 20;
const WINDOW_MS = 1_000;

/** Answers 202 as often as `limit` allows in a window of a second, else 429. */
async function openServer(limit: number): Promise<number> {
  const limits = createMemoryLimits({ clock: systemClock });
  const policy = {
    algorithm: 'fixed-window',
    name: 'w',
    limit,
    windowSeconds: WINDOW_MS / 1000,
    mode: 'enforce',
  } as const;
  const server = createServer((_request, response) => {
    void limits.take({ charges: [{ policy, key: 'all', cost: 1 }] }).then(({ allowed, retryAfterSeconds }) => {
      response.writeHead(allowed ? 202 : 429, {
        'content-length': '0',
        ...(allowed ? {} : { 'retry-after': String(retryAfterSeconds) }),
      });
      response.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

const askedOf = (result: Hammered, status: number): Asked[] =>
  placesWith(result, status).map((place) => ({ sentMs: result.sentMs[place]!, answeredMs: result.answeredMs[place]! }));

async function hammerAndCheck(limitOfServer: number) {
  const port = await openServer(limitOfServer);
  return withScratch(async (scratch) => {
    const hammer = openHammer(scratch);
    const beginMs = Math.ceil((Date.now() + 500) / WINDOW_MS) * WINDOW_MS;
    const result = await hammer.run({
      ports: [port],
      connections: 16,
      requests: [getRequest('/', 'token')],
      pace: { kind: 'closed', pauseMs: 20 },
      fromMs: beginMs + 100,
      untilMs: beginMs + 2 * WINDOW_MS - 100,
    });
    const checked = checkAdmitted(askedOf(result, 202), askedOf(result, 429), windowBudget(LIMIT, WINDOW_MS / 1000));
    return { result, checked };
  });
}

test('a server that keeps its limit is found to keep it, and every refusal is seen with its Retry-After', async () => {
  const { result, checked } = await hammerAndCheck(LIMIT);
  expect(checked.over).toBe(0);
  expect(checked.admitted).toBeGreaterThanOrEqual(LIMIT);
  expect(Object.keys(countStatuses([result])).sort()).toEqual(['202', '429']);
  expect(placesWith(result, 429).every((place) => result.retryAfter[place] === 1)).toBe(true);
  expect(placesWith(result, 202).every((place) => result.retryAfter[place] === -1)).toBe(true);
});

test('a server that admits one too many in each window is found out', async () => {
  const { checked } = await hammerAndCheck(LIMIT + 1);
  expect(checked.over).toBeGreaterThanOrEqual(1);
});
