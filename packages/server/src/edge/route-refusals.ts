import type { ErrorCode } from '@gladhand/contract/errors.ts';
import type { RouteOptions } from 'fastify';
import { type BodyUse, readBodyUse } from './bodies.ts';
import type { RouteAccess } from './guard.ts';
import type { RouteLimit } from './route-limit.ts';

/**
 * What a route can be refused with, for the OpenAPI document. Most of it follows from what the route declares: who may
 * call it, its limit, its path, its query and its body. The rest the route names itself, in `schema.refusals`. Tests
 * hold every answer they see against this list, and provoke what follows from declarations on every route.
 */
declare module 'fastify' {
  interface FastifySchema {
    /** Codes beside those that follow from what the route declares. */
    refusals?: readonly ErrorCode[];
  }
}

/** Codes that are decided before the route is found: they are problem documents, whatever the route's errors are. */
export const BEFORE_ROUTE: ReadonlySet<ErrorCode> = new Set(['malformed-request', 'body-timeout', 'headers-too-large']);

const ALWAYS: readonly ErrorCode[] = [
  'malformed-request',
  'credential-in-url',
  'method-not-allowed',
  'body-timeout',
  'headers-too-large',
  'internal-error',
];
/** Fastify reads a body for these, also where none is asked for. */
const BODY_METHODS = ['POST', 'PUT', 'PATCH', 'DELETE'];
const OF_BODY: Readonly<Record<BodyUse, readonly ErrorCode[]>> = {
  none: ['body-too-large'],
  optional: ['malformed-json', 'body-too-large', 'unsupported-media-type'],
  needed: ['malformed-json', 'empty-body', 'body-too-large', 'unsupported-media-type'],
  own: ['malformed-json', 'empty-body', 'body-too-large', 'unsupported-media-type'],
};

const OF_LIMIT: Readonly<Record<RouteLimit, readonly ErrorCode[]>> = {
  none: [],
  read: ['rate-limited', 'too-many-concurrent-requests'],
  intake: ['rate-limited', 'overloaded'],
  authenticate: ['rate-limited', 'too-many-attempts'],
  rotate: ['rate-limited'],
};

/** As much of a schema as is looked at here. */
interface ObjectSchema {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly additionalProperties?: unknown;
}

/** Every code that the route can answer, in the order in which the wall looks. */
export function refusalsOf(route: Pick<RouteOptions, 'method' | 'url' | 'config' | 'schema'>): ErrorCode[] {
  const { config = {}, schema = {} } = route;
  const takesBody = [route.method].flat().some((method) => BODY_METHODS.includes(method));
  const codes: ErrorCode[] = [
    ...ALWAYS,
    ...(route.url.includes(':') ? (['uri-too-long'] as const) : []),
    ...(config.access === undefined || config.access === 'public' ? [] : ofAccess(config.access, takesBody)),
    ...OF_LIMIT[config.limit ?? 'none'],
    ...(takesBody ? OF_BODY[readBodyUse(schema.body)] : []),
    ...ofQuery(schema.querystring as ObjectSchema | undefined),
    ...(schema.body === undefined ? [] : (['validation-failed'] as const)),
    ...(schema.refusals ?? []),
  ];
  return [...new Set(codes)];
}

function ofAccess(access: RouteAccess, changes: boolean): ErrorCode[] {
  const takesKeys = access.audience !== undefined;
  const takesEveryone = takesKeys && access.role === 'VIEWER';
  return [
    'unauthorized',
    'invalid-token',
    'token-expired',
    ...(access.takesApiKey ? (['invalid-api-key', 'too-many-attempts'] as const) : []),
    ...(takesEveryone ? [] : (['forbidden'] as const)),
    ...(takesKeys ? (['address-not-allowed'] as const) : []),
    ...(takesKeys && (access.scopes ?? []).length > 0 ? (['missing-scope'] as const) : []),
    ...(access.role !== undefined && changes ? (['cross-site-request'] as const) : []),
    'temporarily-unavailable',
  ];
}

function ofQuery(query: ObjectSchema | undefined): ErrorCode[] {
  if (query === undefined) return [];
  const names = Object.keys(query.properties ?? {});
  return [
    ...(query.additionalProperties === false ? (['validation-failed'] as const) : []),
    ...(names.includes('next') ? (['invalid-cursor'] as const) : []),
    ...(names.includes('from') && names.includes('to') ? (['invalid-range'] as const) : []),
  ];
}
