import type { IncomingMessage } from 'node:http';
import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyRequest } from 'fastify';
import type { Audience } from '../access/principal.ts';
import { pathOf } from './known-routes.ts';

/**
 * Where the two APIs are: on one port, or the authentication API (keys for tokens, rotation, the public signing keys)
 * on a port of its own. Promise: with two ports every path is served by exactly one of them, but for health, which both
 * answer; the other port says where the path is. Whatever guards a request is the same code on both.
 */
export type Api = 'authentication' | 'integration';
export type RouteApi = Api | 'both';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Which API the route belongs to; default `integration`. */
    api?: RouteApi;
  }
}

export interface ApiAddresses {
  readonly isSplit: boolean;
  /**
   * The base URL of an API as the caller reaches it: the configured one; else the host that was asked and the API's port,
   * and nothing while there is one port.
   */
  urlOf(api: Api, request: FastifyRequest): string;
  /** Where a key of this audience is traded for a token. */
  authenticateAt(audience: Audience, request: FastifyRequest): string;
  /** Throws `not-found`, with a hint, when the port that was asked does not serve this API. */
  refuseElsewhere(request: FastifyRequest, api: RouteApi): void;
  /** To be called when the ports are open. */
  setPorts(ports: Readonly<Record<Api, number>>): void;
}

export interface ApiAddressesConfig {
  readonly isSplit: boolean;
  /** Empty: from the request. */
  readonly publicUrls: Readonly<Record<Api, string>>;
}

const WHAT = { authentication: 'the authentication API', integration: 'the integration API' } as const;

export function createApiAddresses({ isSplit, publicUrls }: ApiAddressesConfig): ApiAddresses {
  let ports: Readonly<Record<Api, number>> | undefined;

  function urlOf(api: Api, request: FastifyRequest): string {
    const configured = publicUrls[isSplit ? api : 'integration'].replace(/\/$/, '');
    if (configured !== '' || !isSplit) return configured;
    const port = ports === undefined ? '' : `:${ports[api]}`;
    return `${request.protocol}://${hostOf(request)}${port}`;
  }

  return {
    isSplit,
    urlOf,
    authenticateAt: (audience, request) => `${urlOf('authentication', request)}/api/v1/${audience}s/authenticate`,
    refuseElsewhere(request, api) {
      if (!isSplit || api === 'both' || api === askedApi(request.raw)) return;
      throw new Fault(
        'not-found',
        `This port serves ${WHAT[askedApi(request.raw)]} only. Send ${request.method} to ${urlOf(api, request)}${pathOf(request.url).slice(0, 200)}.`,
      );
    },
    setPorts(opened) {
      ports = opened;
    },
  };
}

export const ONE_PORT = createApiAddresses({ isSplit: false, publicUrls: { authentication: '', integration: '' } });

const asked = new WeakSet<IncomingMessage>();

/** Notes that a request came in on the port of the authentication API. */
export function markAuthenticationPort(request: IncomingMessage): void {
  asked.add(request);
}

export function askedApi(request: IncomingMessage): Api {
  return asked.has(request) ? 'authentication' : 'integration';
}

/** The name that was asked, without its port; an IPv6 address in brackets. */
function hostOf(request: FastifyRequest): string {
  const host = request.host.replace(/:\d*$/, '');
  return host === '' ? 'localhost' : host;
}
