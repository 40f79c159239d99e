import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyRequest, RouteOptions } from 'fastify';
import type { Http } from './http.ts';
import { notJson } from './problem.ts';

/**
 * How bodies are read. Promise: where a route needs no body, an empty one is fine with any Content-Type, because many
 * clients send `Content-Type: application/json` on every request; a route that takes no body at all ignores one. Where
 * a route needs a body, an empty one is `empty-body`. JSON is the only media type.
 */
declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route does with a body; found out from its schema. */
    body?: BodyUse;
  }
}

/** `optional`: `{}` satisfies the schema. `own`: the schema takes anything, and the route reads the bytes by itself. */
export type BodyUse = 'none' | 'optional' | 'needed' | 'own';

export function readBodies(http: Http): void {
  const parseJson = http.getDefaultJsonParser('error', 'error');
  http.removeAllContentTypeParsers();
  http.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else void parseJson(request, body as string, done);
  });
  http.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length > 0 && useOf(request) !== 'none') done(notJson());
    else done(null, undefined);
  });
  http.addHook('onRoute', declareBody);
  http.addHook('preParsing', (request, _reply, payload, done) => {
    // The type of nothing, or of what is ignored, is not looked at, not even whether it is one.
    if (request.raw.headers['content-type'] !== undefined) {
      const use = useOf(request);
      if (use === 'none' || (use === 'optional' && isEmpty(request))) delete request.raw.headers['content-type'];
    }
    done(null, payload);
  });
  http.addHook('preValidation', (request, _reply, done) => {
    if (request.body !== undefined) return done();
    const use = useOf(request);
    if (use === 'needed') return done(new Fault('empty-body', 'The body is empty. Send a JSON document.'));
    if (use === 'optional') request.body = {};
    done();
  });
}

function useOf(request: FastifyRequest): BodyUse {
  return request.routeOptions.config.body ?? 'none';
}

/** As its headers tell; one that is chunked is found to be empty when it has been read. */
function isEmpty({ raw }: FastifyRequest): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = raw.headers;
  return encoding === undefined && Number(length) === 0;
}

function declareBody(route: RouteOptions): void {
  route.config = { ...route.config, body: readBodyUse(route.schema?.body) } as NonNullable<typeof route.config>;
}

/** What a route does with a body, by its schema; the OpenAPI document says the same. */
export function readBodyUse(schema: unknown): BodyUse {
  if (schema === undefined) return 'none';
  if (!('type' in (schema as object))) return 'own';
  return takesEmptyObject(schema as BodySchema) ? 'optional' : 'needed';
}

/** As much of JSON Schema as says whether `{}` is enough. */
interface BodySchema {
  readonly type?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, object>>;
  readonly minProperties?: number;
}

/** A property with a default is never missing: the validator puts it in first. */
function takesEmptyObject({ type, required = [], properties = {}, minProperties = 0 }: BodySchema): boolean {
  const filled = Object.keys(properties).filter((name) => 'default' in properties[name]!);
  return type === 'object' && filled.length >= minProperties && required.every((name) => filled.includes(name));
}
