import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyReply, FastifyRequest, HTTPMethods, RouteOptions } from 'fastify';
import { type Audience, hasRole, type Person, type Principal, type Role, type Scope } from '../access/principal.ts';
import { type ApiAddresses, ONE_PORT } from './api-addresses.ts';
import { refuseCrossSite } from './same-origin.ts';
import { readCookie, SESSION_COOKIE } from './session-cookie.ts';

/**
 * The wall, in a fixed order: authenticate -> right audience or role -> scopes. Promise: a handler runs only for a
 * caller that its route's access names, and the decision is taken before the body is read. 401 says that the credential
 * is no good, 403 that it is good and not for this. Assumes the authenticator answers from local memory. Fails closed:
 * whatever cannot be decided is refused.
 */
export type Access = 'public' | RouteAccess;

/** A route takes keys, people, or both; what is left out is not let in. */
export interface RouteAccess {
  /** Keys of this audience; `any` takes both. */
  readonly audience?: Audience | 'any';
  /** What a key must have. */
  readonly scopes?: readonly Scope[];
  /** The API key itself is taken in X-API-KEY too, without trading it for a token. */
  readonly takesApiKey?: boolean;
  /** People with at least this role in their organization. */
  readonly role?: Role;
}

export type Caller = { readonly key: Principal } | { readonly person: Person };

export interface Authenticator {
  /** Whose bearer token (of a key or of a session) it is: at once when it is known here, else when it has been verified. */
  authenticate(token: string, address: string): Principal | Promise<Principal>;
  /** The same for an API key that is sent as it is. */
  authenticateKey?(apiKey: string, address: string): Principal | Promise<Principal>;
  /** Whose session token it is. */
  authenticatePerson?(sessionToken: string, address: string): Person | Promise<Person>;
}

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | null;
    person: Person | null;
  }
}

/** The API reference's routes are of a plugin that knows nothing of our rule; they show what /openapi.json shows. */
const REFERENCE_PREFIX = '/docs/api';

/** Refuses to boot a route that does not say who may call it. */
export function declareAccess(route: RouteOptions): void {
  if (route.url.startsWith(REFERENCE_PREFIX)) route.config = { ...route.config, access: 'public' };
  const access = route.config?.access;
  const isDeclared =
    access === 'public' ||
    access?.role !== undefined ||
    (access?.audience !== undefined && access.scopes !== undefined);
  if (!isDeclared) {
    throw new Error(
      `${String(route.method as HTTPMethods)} ${route.url} declares no access: set config.access to 'public', to {audience, scopes}, to {role}, or to all three`,
    );
  }
}

export const SESSION_TOKEN_PREFIX = 'gladhand_session_';

export interface GuardParts extends Authenticator {
  /** Default: one port. */
  readonly addresses?: ApiAddresses;
}

export function createGuard(parts: GuardParts) {
  return function guard(request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
    const access = request.routeOptions.config.access;
    if (request.is404 || access === 'public') return done();
    const refuse = (error: unknown) => done(error as Error);
    try {
      if (access === undefined) throw new Fault('forbidden', 'This route declares no access.');
      const found = authenticate(parts, request, access);
      if (!(found instanceof Promise)) {
        admit(parts, request, found, access);
        return done();
      }
      found.then((caller) => admit(parts, request, caller, access)).then(() => done(), refuse);
    } catch (error) {
      refuse(error);
    }
  };
}

function authenticate(parts: GuardParts, request: FastifyRequest, access: RouteAccess): Caller | Promise<Caller> {
  const apiKey = request.headers['x-api-key'];
  if (access.takesApiKey && parts.authenticateKey && typeof apiKey === 'string') {
    return then(parts.authenticateKey(apiKey, request.ip), (key) => ({ key }));
  }
  const cookie = findCookie(request);
  if (cookie !== undefined) refuseCrossSite(request);
  return authenticateToken(parts, cookie ?? bearerToken(parts, request, access), request.ip);
}

/** Whose token it is, a key's or a person's: over HTTP and gRPC alike. */
export function authenticateToken(
  authenticator: Authenticator,
  token: string,
  address: string,
): Caller | Promise<Caller> {
  if (token.startsWith(SESSION_TOKEN_PREFIX) && authenticator.authenticatePerson) {
    return then(authenticator.authenticatePerson(token, address), (person) => ({ person }));
  }
  return then(authenticator.authenticate(token, address), (key) => ({ key }));
}

function then<In, Out>(value: In | Promise<In>, next: (value: In) => Out): Out | Promise<Out> {
  return value instanceof Promise ? value.then(next) : next(value);
}

function admit(parts: GuardParts, request: FastifyRequest, caller: Caller, access: RouteAccess): void {
  if ('person' in caller) admitPerson(request, caller.person, access);
  else admitKey(parts, request, caller.key, access);
}

function admitPerson(request: FastifyRequest, person: Person, access: RouteAccess): void {
  request.person = person;
  if (access.role === undefined) throw notForPeople();
  if (!hasRole(person, access.role))
    throw new Fault(
      'forbidden',
      `This needs the role ${access.role}; yours is ${person.role}. Ask an admin of your organization.`,
    );
}

/** A session where only keys are let in. */
export function notForPeople(): Fault {
  return new Fault(
    'forbidden',
    'You are signed in as a person, and this is for API keys. Create a key and authenticate with it.',
  );
}

/** A token of the other audience: it is good, and not for this. `where`: how to get one that is. */
export function otherAudience(wanted: Audience, where: string): Fault {
  const held = wanted === 'partner' ? 'customer' : 'partner';
  return new Fault('forbidden', `This is for ${wanted} keys, and your token is of a ${held} key. ${where}`);
}

function admitKey(parts: GuardParts, request: FastifyRequest, key: Principal, access: RouteAccess): void {
  request.principal = key;
  if (access.audience === undefined)
    throw new Fault('forbidden', 'This endpoint is for people who sign in, not for API keys.');
  if (access.audience !== 'any' && key.audience !== access.audience) {
    throw otherAudience(access.audience, tokenFrom(parts, access.audience, request));
  }
  const missing = (access.scopes ?? []).filter((scope) => !key.scopes.has(scope));
  if (missing.length > 0)
    throw new Fault('missing-scope', `This needs the scope ${missing.join(', ')}, which the key does not have.`);
}

/** The person of a request that passed the guard of a route for people. */
export function personOf(request: FastifyRequest): Person {
  if (request.person === null) throw new Error('the route is not for people: it has no person');
  return request.person;
}

/** The principal of a request that passed the guard. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new Error('the route is public: it has no principal');
  return request.principal;
}

/** A browser's session travels in a cookie. Where only keys are let in it is refused like any other session. */
function findCookie(request: FastifyRequest): string | undefined {
  if (request.headers.authorization !== undefined) return undefined;
  return readCookie(request.headers.cookie, SESSION_COOKIE);
}

function tokenFrom({ addresses = ONE_PORT }: GuardParts, audience: Audience, request: FastifyRequest): string {
  return `Get a ${audience} token from POST ${addresses.authenticateAt(audience, request)}.`;
}

function bearerToken(parts: GuardParts, request: FastifyRequest, access: RouteAccess): string {
  const header = request.headers.authorization;
  if (header === undefined) {
    const others = `${access.takesApiKey ? ' or your API key as `X-API-KEY`' : ''}${access.role === undefined ? '' : ', or sign in first'}`;
    const { audience } = access;
    const isOfOne = audience !== undefined && audience !== 'any';
    const where = isOfOne ? ` ${tokenFrom(parts, audience, request)}` : '';
    throw new Fault('unauthorized', `Send an access token as \`Authorization: Bearer <token>\`${others}.${where}`);
  }
  const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(header)?.[1];
  if (token === undefined) throw new Fault('unauthorized', 'The Authorization header must read `Bearer <token>`.');
  return token;
}
