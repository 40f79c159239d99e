import { Fault } from '@gladhand/base/fault.ts';
import { type TSchema, Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { readEpoch } from '../database/epoch.ts';
import type { Http } from '../edge/http.ts';
import type { Metrics } from './metrics.ts';

const TEXT = { description: 'Metrics', content: { 'text/plain': { schema: Type.String() } } } as unknown as TSchema;

/** Registers the routes for monitoring: whether the process answers, whether it can work, and its metrics. */
export function registerOperationsRoutes(
  http: Http,
  parts: { database: Database; metrics: Metrics; isClosing: () => boolean },
): void {
  const { database } = parts;
  http.get(
    '/health/live',
    {
      config: { access: 'public', api: 'both' },
      schema: {
        operationId: 'checkLiveness',
        tags: ['Operations'],
        summary: 'Whether the process answers',
        response: { 200: Type.Object({ status: Type.Literal('live') }) },
      },
    },
    async () => ({ status: 'live' as const }),
  );
  http.get(
    '/health/ready',
    {
      config: { access: 'public', api: 'both' },
      schema: {
        operationId: 'checkReadiness',
        refusals: ['shutting-down', 'temporarily-unavailable'],
        tags: ['Operations'],
        summary: 'Whether the server is ready',
        description:
          '503 while PostgreSQL recovers or the server shuts down. `durability` says what a payload that was answered with 202 survives.',
        response: {
          200: Type.Object({
            status: Type.Literal('ready'),
            database: Type.Literal('ready'),
            durability: Type.Enum(['power-loss', 'process-crash'], { type: 'string' }),
          }),
        },
      },
    },
    async () => {
      if (parts.isClosing()) throw new Fault('shutting-down', 'The server is shutting down.', { retryAfterSeconds: 5 });
      if (database.host.state !== 'ready')
        throw new Fault('temporarily-unavailable', 'PostgreSQL is recovering.', { retryAfterSeconds: 2 });
      await readEpoch(database);
      return { status: 'ready' as const, database: 'ready' as const, durability: database.durability };
    },
  );
  http.get(
    '/metrics',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'getMetrics',
        tags: ['Operations'],
        summary: 'Metrics in the Prometheus exposition format',
        response: { 200: TEXT },
      },
    },
    async (_request, reply) => reply.type(parts.metrics.contentType).send(await parts.metrics.render()),
  );
}
