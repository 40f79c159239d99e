import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { KeyOverlap } from '../access/principal.ts';
import { type ApiAddresses, ONE_PORT } from './api-addresses.ts';
import { readBodies } from './bodies.ts';
import { refuseCredentialInUrl } from './credential-in-url.ts';
import { createClientAddress, settleForwarded } from './forwarded.ts';
import { type Access, declareAccess } from './guard.ts';
import { createKnownRoutes, type KnownRoutes, pathOf } from './known-routes.ts';
import { answerForNode, awaitsContinue, refuseExpectation, refuseWithoutHost } from './node-answers.ts';
import { type ErrorFamily, type RenderedError, renderFault, toFault } from './problem.ts';
import { declareLimit, type RouteLimit } from './route-limit.ts';
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
  /** Default: one port. */
  readonly addresses?: ApiAddresses;
  /** Called once for every answered request. */
  readonly onAnswered?: (answered: { route: string; method: string; status: number; seconds: number }) => void;
  /** Called for every request that ends in a fault, before it is answered. Must not throw. */
  readonly onFault?: (fault: Fault, request: FastifyRequest) => void;
}

export function createHttp(parts: HttpParts): Http {
  const known = createKnownRoutes();
  const http = openFastify(parts, known);
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
  http.addHook('onRoute', known.add);
  receive(http, parts.addresses ?? ONE_PORT, known);
  readBodies(http);
  http.addHook('preParsing', (request, reply, payload, done) => {
    if (awaitsContinue(request)) reply.raw.writeContinue();
    done(null, payload);
  });
  http.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    if (request.principal?.overlap) reply.headers(overlapHeaders(request.principal.overlap));
    done();
  });
  logAnswers(http, parts);
  http.setErrorHandler((error, request, reply) => {
    const fault = toFault(error);
    parts.onFault?.(fault, request);
    if (fault.status >= 500 && fault.status !== 503)
      parts.log.error({ requestId: request.id, err: fault.cause ?? fault }, fault.message);
    const family = request.is404 ? known.familyAt(pathOf(request.url)) : request.routeOptions.config.errors;
    return sendRendered(reply, renderFault(fault, request.id, family ?? 'problem'));
  });
  return http;
}

function openFastify(parts: HttpParts, known: KnownRoutes): Http {
  const limits = parts.limits ?? HTTP_LIMITS;
  const http = fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    trustProxy: parts.trustedProxies.length > 0 ? [...parts.trustedProxies] : false,
    genReqId: () => parts.ids.uuid(),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    http: serverOptions(limits),
    // Answered in our own form, below.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // `answerForNode` does.
    clientErrorHandler: () => {},
    frameworkErrors: (error, request, reply) => {
      const family = known.familyAt(pathOf(request.url));
      void sendRendered(reply as unknown as FastifyReply, renderFault(toFault(error), request.id, family));
    },
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as Http;
  http.server.maxConnections = limits.connectionsMax;
  answerForNode(http.server, http.routing, parts);
  return http;
}

/** What a server of Node is made with, whichever port it listens on. */
export function serverOptions(limits: HttpLimits): ServerOptions {
  return {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16_384,
    requireHostHeader: false,
  };
}

/** What every request passes before anybody asks who is calling. */
function receive(http: Http, addresses: ApiAddresses, known: KnownRoutes): void {
  let isClosing = false;
  http.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  http.addHook('onRequest', (request, reply, done) => {
    try {
      if (isClosing)
        throw new Fault('shutting-down', 'The server is shutting down. Send the same request again.', {
          retryAfterSeconds: 5,
        });
      refuseWithoutHost(request);
      refuseExpectation(request);
      refuseCredentialInUrl(request.url);
      const { is404, routeOptions } = request;
      const api = is404 ? known.apiAt(pathOf(request.url)) : (routeOptions.config.api ?? 'integration');
      if (api !== undefined) addresses.refuseElsewhere(request, api);
      if (is404) known.answer(request, reply);
    } catch (error) {
      return done(error as Error);
    }
    if (!reply.sent) done();
  });
  http.addHook('onSend', (_request, reply, _payload, done) => {
    if (isClosing) reply.header('connection', 'close');
    done();
  });
  // Never called: the hook has answered.
  http.setNotFoundHandler((request, reply) => known.answer(request, reply));
}

function logAnswers(http: Http, parts: HttpParts): void {
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
}

function sendRendered(reply: FastifyReply, rendered: RenderedError): FastifyReply {
  return reply
    .code(rendered.status)
    .headers({ ...rendered.headers, 'content-type': rendered.contentType })
    .serializer((body: unknown) => body as string)
    .send(rendered.body);
}

/** Tells whoever still uses the old generation of a rotated key: `Deprecation` (RFC 9745) since when, `Sunset` (RFC 8594) until when. */
export function overlapHeaders(overlap: KeyOverlap): Record<string, string> {
  return {
    deprecation: `@${Math.floor(overlap.supersededAtMs / 1000)}`,
    sunset: new Date(overlap.endsAtMs).toUTCString(),
  };
}
