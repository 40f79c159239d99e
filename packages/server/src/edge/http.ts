import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { KeyOverlap } from '../access/principal.ts';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Ids } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import { createClientAddress, settleForwarded } from './forwarded.ts';
import { type Access, declareAccess } from './guard.ts';
import { declareLimit, type RouteLimit } from './limit-guard.ts';
import { type ErrorFamily, renderFault, toFault } from './problem.ts';
import { compileValidator } from './validation.ts';

/**
 * The HTTP server, as every door finds it: limits on what may arrive and for how long, a request id on every answer,
 * one shape of error, and no route without declared access. Promise: no answer shows a stack, SQL or a path, and no
 * single request can stop the process. Slow senders are cut off (Node's defaults of 60 and 300 s leave hundreds of
 * slow connections open). Fails to boot when a route declares no access.
 */
export type Http = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; a route without it refuses to boot. */
    access?: Access;
    /** Which limit the route is under; default: `read` when keys may call it, else none. */
    limit?: RouteLimit;
    /** How the route's errors are rendered; default `problem`. */
    errors?: ErrorFamily;
  }
}

export interface HttpLimits {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly connectionsMax: number;
  /** For bodies of routes that do not set a limit of their own. */
  readonly bodyBytesMax: number;
}

export const HTTP_LIMITS: HttpLimits = {
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 15_000,
  keepAliveTimeoutMs: 72_000,
  connectionsMax: 10_000,
  bodyBytesMax: 64 * 1024,
};

export interface HttpParts {
  readonly log: Logger;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly trustedProxies: readonly string[];
  readonly limits?: HttpLimits;
  /** Called once for every answered request. */
  readonly onAnswered?: (answered: { route: string; method: string; status: number; seconds: number }) => void;
  /** Called for every request that ends in a fault, before it is answered. Must not throw. */
  readonly onFault?: (fault: Fault, request: FastifyRequest) => void;
}

export function createHttp(parts: HttpParts): Http {
  const limits = parts.limits ?? HTTP_LIMITS;
  const http = fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    trustProxy: parts.trustedProxies.length > 0 ? [...parts.trustedProxies] : false,
    genReqId: () => parts.ids.uuid(),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    http: { headersTimeout: limits.headersTimeoutMs, connectionsCheckingInterval: 1_000, maxHeaderSize: 16_384 },
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) => refuseMalformed(error, socket, parts.ids),
    frameworkErrors: (error, request, reply) => {
      const rendered = renderFault(toFault(error), request.id, 'problem');
      (reply as FastifyReply)
        .code(rendered.status)
        .headers({ ...rendered.headers, 'content-type': rendered.contentType })
        .send(rendered.body);
    },
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as Http;
  http.server.maxConnections = limits.connectionsMax;
  http.setValidatorCompiler(compileValidator);
  if (parts.trustedProxies.length > 0) {
    const clientAddress = createClientAddress(parts.trustedProxies);
    http.addHook('onRequest', (request, _reply, done) => {
      settleForwarded(request.raw, clientAddress);
      done();
    });
  }
  http.addHook('onRoute', declareAccess);
  http.addHook('onRoute', declareLimit);
  // RFC 9110 10.1.1: who asks before sending a body is told to go on only when nothing at the wall refused the request.
  http.server.on('checkContinue', (request, response) => http.routing(request, response));
  http.addHook('preParsing', (request, reply, payload, done) => {
    if (request.headers.expect !== undefined) reply.raw.writeContinue();
    done(null, payload);
  });
  http.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    if (request.principal?.overlap) reply.headers(overlapHeaders(request.principal.overlap));
    done();
  });
  http.addHook('onResponse', (request, reply, done) => {
    const status = reply.statusCode;
    const seconds = reply.elapsedTime / 1000;
    const route = request.routeOptions.url ?? 'unknown';
    parts.onAnswered?.({ route, method: request.method, status, seconds });
    // 429 and 503 are counted, and what is behind 503 is logged once: a line for each of thousands would cost more than
    // refusing them.
    const isCounted = status === 429 || status === 503;
    const level = isCounted ? 'debug' : status >= 500 ? 'error' : status >= 400 ? 'info' : 'debug';
    if (parts.log.isLevelEnabled(level)) {
      parts.log[level](
        {
          requestId: request.id,
          method: request.method,
          route,
          status,
          ms: Math.round(reply.elapsedTime),
          from: request.ip,
        },
        'answered',
      );
    }
    done();
  });
  http.setErrorHandler((error, request, reply) => {
    const fault = toFault(error);
    parts.onFault?.(fault, request);
    if (fault.status >= 500 && fault.status !== 503)
      parts.log.error({ requestId: request.id, err: fault.cause ?? fault }, fault.message);
    const rendered = renderFault(fault, request.id, request.routeOptions.config.errors ?? 'problem');
    return reply
      .code(rendered.status)
      .headers({ ...rendered.headers, 'content-type': rendered.contentType })
      .serializer((body: unknown) => body as string)
      .send(rendered.body);
  });
  const known: KnownRoute[] = [];
  http.addHook('onRoute', (route) => {
    const path = new RegExp(`^${route.url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[^/]+/g, '[^/]+')}/?$`);
    for (const method of [route.method].flat()) known.push({ method, path });
  });
  http.setNotFoundHandler((request) => {
    throw unknownRoute(known, request);
  });
  return http;
}

/** Tells whoever still uses the old generation of a rotated key: `Deprecation` (RFC 9745) since when, `Sunset` (RFC 8594) until when. */
export function overlapHeaders(overlap: KeyOverlap): Record<string, string> {
  return {
    deprecation: `@${Math.floor(overlap.supersededAtMs / 1000)}`,
    sunset: new Date(overlap.endsAtMs).toUTCString(),
  };
}

interface KnownRoute {
  readonly method: string;
  readonly path: RegExp;
}

/** An unknown path is a 404; a known path with another method says which methods it has. */
function unknownRoute(known: readonly KnownRoute[], request: FastifyRequest): Fault {
  const path = request.url.split('?', 1)[0] ?? '/';
  const allowed = known
    .filter((route) => route.method !== 'HEAD' && route.path.test(path))
    .map((route) => route.method);
  if (allowed.length > 0 && !allowed.includes(request.method)) {
    return new Fault(
      'method-not-allowed',
      `${request.method} is not possible here; use ${[...new Set(allowed)].join(' or ')}.`,
    );
  }
  return new Fault(
    'not-found',
    `There is nothing at ${request.method} ${path.slice(0, 200)}. The API's paths are listed at /docs.`,
  );
}

/** What Node's parser refuses before there is a request: the same problem document, written by hand. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket, ids: Ids): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const fault =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new Fault('headers-too-large', 'The request headers together may have 16 KiB.')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new Fault(
            'body-timeout',
            'The request did not arrive within the time limit. Send it again on a new connection.',
          )
        : new Fault('malformed-request', 'The request is not well-formed HTTP/1.1.');
  const rendered = renderFault(fault, ids.uuid(), 'problem');
  const lines = [
    `HTTP/1.1 ${rendered.status} ${fault.code}`,
    `content-type: ${rendered.contentType}`,
    `content-length: ${Buffer.byteLength(rendered.body)}`,
    'connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${rendered.body}`);
}
