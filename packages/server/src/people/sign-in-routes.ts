import { Fault } from '@gladhand/base/fault.ts';
import { PasswordChangeBody, PersonSchema, SignedInSchema, SignInBody } from '@gladhand/contract/auth.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { isPlatformOperator, type Person } from '../access/principal.ts';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { Nothing, originOf, personAccess, personSchema } from '../edge/person-route.ts';
import { refuseKnownCrossSite } from '../edge/same-origin.ts';
import { readCookie, SESSION_COOKIE, writeCookie } from '../edge/session-cookie.ts';
import type { IdentityProvider } from './identity-provider.ts';
import type { Sessions } from './sessions.ts';
import { type Client, SESSION_LIFE_MS, type SignedIn } from './sign-in.ts';

/** The doors by which people sign in and out. A browser gets its session as a cookie, a script reads it in the body. */
export interface AuthRoutesParts {
  readonly sessions: Sessions;
  /** Null: people sign in by password only. */
  readonly identityProvider: IdentityProvider | null;
}

const TAG = 'Signing in';
const LIFE_SECONDS = SESSION_LIFE_MS / 1000;
const OIDC_PATH = '/api/v1/auth/oidc';
const OIDC_COOKIE = 'gladhand_oidc';
/** How long somebody may take at the identity provider. */
const OIDC_SECONDS = 600;

export function registerAuthRoutes(http: Http, parts: AuthRoutesParts): void {
  const { sessions } = parts;
  http.post(
    '/auth/sign-in',
    {
      // Sessions count failures themselves, for what they count stands in the body.
      config: { access: 'public', limit: 'none' },
      schema: {
        operationId: 'signIn',
        refusals: ['sign-in-refused', 'cross-site-request', 'too-many-attempts', 'temporarily-unavailable'],
        ...personSchema(TAG, 'Sign in', { 200: SignedInSchema }),
        description:
          'Sets the session cookie, and answers the same session for scripts. 5 failures in 15 minutes per account and address, 20 per address.',
        body: SignInBody,
      },
    },
    async (request, reply) => {
      refuseKnownCrossSite(request);
      return admit(sessions, request, reply, await sessions.signIn(request.body, clientOf(request)));
    },
  );
  http.post(
    '/auth/sign-out',
    {
      config: personAccess('VIEWER'),
      schema: { operationId: 'signOut', ...personSchema(TAG, 'End this session', { 204: Nothing }) },
    },
    async (request, reply) => {
      await sessions.signOut(personOf(request), originOf(request));
      reply.header(
        'set-cookie',
        writeCookie(request, { name: SESSION_COOKIE, value: '', maxAgeSeconds: 0, path: '/', sameSite: 'Strict' }),
      );
      return reply.code(204).send(null);
    },
  );
  http.get(
    '/auth/me',
    {
      config: personAccess('VIEWER'),
      schema: { operationId: 'getSignedInPerson', ...personSchema(TAG, 'Who is signed in', { 200: PersonSchema }) },
    },
    async (request) => describePerson(personOf(request)),
  );
  http.put(
    '/auth/password',
    {
      config: personAccess('VIEWER'),
      schema: {
        operationId: 'changePassword',
        refusals: ['wrong-password', 'too-many-attempts'],
        ...personSchema(TAG, 'Change your password', { 204: Nothing }),
        description: 'Ends your other sessions.',
        body: PasswordChangeBody,
      },
    },
    async (request, reply) => {
      await sessions.changePassword(personOf(request), request.body, originOf(request));
      return reply.code(204).send(null);
    },
  );
  registerOidc(http, parts);
}

function registerOidc(http: Http, { sessions, identityProvider }: AuthRoutesParts): void {
  const configured = () => {
    if (identityProvider === null)
      throw new Fault('not-found', 'No identity provider is configured; sign in with your password.');
    return identityProvider;
  };
  const cookie = { name: OIDC_COOKIE, path: OIDC_PATH, sameSite: 'Lax' } as const;
  http.get(
    '/auth/oidc/start',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'startOidcSignIn',
        refusals: ['not-found', 'temporarily-unavailable'],
        ...personSchema(TAG, 'Sign in through the identity provider', { 302: Nothing }),
      },
    },
    async (request, reply) => {
      const { url, state } = await configured().begin(callbackOf(request), OIDC_SECONDS * 1000);
      reply.header('set-cookie', writeCookie(request, { ...cookie, value: state, maxAgeSeconds: OIDC_SECONDS }));
      return reply.redirect(url, 302) as never;
    },
  );
  http.get(
    '/auth/oidc/callback',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'finishOidcSignIn',
        refusals: ['sign-in-refused', 'not-found', 'temporarily-unavailable'],
        ...personSchema(TAG, 'Where the identity provider sends the browser back', { 302: Nothing }),
        description: 'Finds the user by the verified email address; never makes one.',
        // What a provider adds (RFC 6749, RFC 9207 and its own) is its business.
        querystring: Type.Object({}, { additionalProperties: true }),
      },
    },
    async (request, reply) => {
      const query = request.url.slice(request.url.indexOf('?') + 1 || request.url.length);
      const email = await configured().finish(
        callbackOf(request),
        query,
        readCookie(request.headers.cookie, OIDC_COOKIE),
      );
      const signedIn = await sessions.signInVouched(email, clientOf(request));
      await admit(sessions, request, reply, signedIn);
      reply.header('set-cookie', writeCookie(request, { ...cookie, value: '', maxAgeSeconds: 0 }));
      return reply.redirect('/', 302) as never;
    },
  );
}

/** Hands the session to the browser; the one it had before, whoever gave it that, ends. */
async function admit(sessions: Sessions, request: FastifyRequest, reply: unknown, { token, person }: SignedIn) {
  const before = readCookie(request.headers.cookie, SESSION_COOKIE);
  if (before !== undefined) await sessions.end(before);
  const cookie = writeCookie(request, {
    name: SESSION_COOKIE,
    value: token,
    maxAgeSeconds: LIFE_SECONDS,
    path: '/',
    sameSite: 'Strict',
  });
  (reply as FastifyReply).header('set-cookie', cookie);
  const described = describePerson(person);
  return {
    accessToken: token,
    tokenType: 'Bearer' as const,
    expiresIn: LIFE_SECONDS,
    expiresAt: described.sessionExpiresAt,
    person: described,
  };
}

function describePerson(person: Person) {
  const { personId, organizationId, organizationKind, email, name, role, sessionExpiresAtMs } = person;
  const sessionExpiresAt = new Date(sessionExpiresAtMs).toISOString();
  return {
    id: personId,
    organizationId,
    organizationKind,
    email,
    name,
    role,
    isPlatformOperator: isPlatformOperator(person),
    sessionExpiresAt,
  };
}

function clientOf(request: FastifyRequest): Client {
  return { address: request.ip, userAgent: request.headers['user-agent'] ?? null, requestId: request.id };
}

function callbackOf(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}${OIDC_PATH}/callback`;
}
