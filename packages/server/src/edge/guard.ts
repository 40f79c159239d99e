import type { FastifyReply, FastifyRequest, HTTPMethods, RouteOptions } from 'fastify';
import type { Audience, Principal, Scope } from '../access/principal.ts';
import { Fault } from '../base/fault.ts';

/**
 * The wall, in a fixed order: no credential in the URL -> authenticate -> right audience -> scopes. Promise: a handler
 * with access `{audience, scopes}` runs only for a principal that has every scope named; the decision is taken before
 * the body is read. Assumes `authenticate` answers from local memory. Fails closed: whatever cannot be decided is
 * refused.
 */
export type Access = 'public' | { readonly audience: Audience; readonly scopes: readonly Scope[] };

export interface Authenticator {
  /** The principal of a bearer token: at once when it is known here, else when it has been verified. */
  authenticate(token: string, address: string): Principal | Promise<Principal>;
}

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | null;
  }
}

/** The reference pages are routes of a plugin that knows nothing of our rule; they show what /openapi.json shows. */
const DOCS_PREFIX = '/docs';

/** Refuses to boot a route that does not say who may call it. */
export function declareAccess(route: RouteOptions): void {
  if (route.url.startsWith(DOCS_PREFIX)) route.config = { ...route.config, access: 'public' };
  if (route.config?.access === undefined) {
    throw new Error(`${String(route.method as HTTPMethods)} ${route.url} declares no access: set config.access to 'public' or to {audience, scopes}`);
  }
}

export function createGuard(authenticator: Authenticator) {
  return function guard(request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
    const access = request.routeOptions.config.access;
    if (request.is404 || access === 'public') return done();
    try {
      refuseCredentialInUrl(request);
      if (access === undefined) throw new Fault('forbidden', 'This route declares no access.');
      const found = authenticator.authenticate(bearerToken(request), request.ip);
      if (!(found instanceof Promise)) {
        admit(request, found, access);
        return done();
      }
      found.then((principal) => {
        admit(request, principal, access);
        done();
      }).catch(done);
    } catch (error) {
      done(error as Error);
    }
  };
}

function admit(request: FastifyRequest, principal: Principal, access: Exclude<Access, 'public'>): void {
  request.principal = principal;
  if (principal.audience !== access.audience) {
    const exchange = access.audience === 'partner' ? '/api/v1/partners/authenticate' : '/api/v1/customers/authenticate';
    throw new Fault('invalid-token', `This endpoint takes a ${access.audience} token. Get one from POST ${exchange}.`);
  }
  const missing = access.scopes.filter((scope) => !principal.scopes.has(scope));
  if (missing.length > 0) {
    throw new Fault('missing-scope', `This needs the scope ${missing.join(', ')}, which the key does not have.`);
  }
}

/** The principal of a request that passed the guard. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new Error('the route is public: it has no principal');
  return request.principal;
}

const CREDENTIAL_PARAMETERS = ['access_token', 'token', 'api_key', 'apikey', 'x-api-key', 'key'];

function refuseCredentialInUrl(request: FastifyRequest): void {
  const start = request.url.indexOf('?');
  if (start === -1) return;
  for (const name of new URLSearchParams(request.url.slice(start)).keys()) {
    if (CREDENTIAL_PARAMETERS.includes(name.toLowerCase())) {
      throw new Fault('credential-in-url', `Send credentials in headers, never as the query parameter \`${name}\`: URLs end up in logs. Consider this credential exposed and rotate it.`);
    }
  }
}

function bearerToken(request: FastifyRequest): string {
  const header = request.headers.authorization;
  if (header === undefined) throw new Fault('unauthorized', 'Send an access token as `Authorization: Bearer <token>`.');
  const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(header)?.[1];
  if (token === undefined) throw new Fault('unauthorized', 'The Authorization header must read `Bearer <token>`.');
  return token;
}
