import type { Clock } from '@gladhand/base/clock.ts';
import type { Cursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
  calculatePKCECodeChallenge,
  discovery,
  fetchUserInfo,
} from 'openid-client';

/**
 * Signing in through an OpenID Connect provider (authorization code with PKCE, state and nonce). Promise: an answer
 * counts only in the browser that asked for it, for the time it was given, and only with an email address that the
 * provider says is verified. Assumes the provider may be trusted with every address it verifies: whoever it calls
 * `x@y` is `x@y` here. Fails with `sign-in-refused`, or `temporarily-unavailable` when it cannot be reached.
 */
export interface IdentityProvider {
  /** Where to send the browser, and the state to keep in its cookie until it comes back. */
  begin(callbackUrl: string, validMs: number): Promise<{ url: string; state: string }>;
  /** The verified email address. `query`: what the provider sent along; `state`: what the browser kept. */
  finish(callbackUrl: string, query: string, state: string | undefined): Promise<string>;
}

export interface IdentityProviderParts {
  readonly issuer: string;
  readonly clientId: string;
  /** Empty: a public client. */
  readonly clientSecret: string;
  /** Registered at the provider; empty: the URL that the caller gives. */
  readonly redirectUri: string;
  /** Signs the state. */
  readonly cursors: Cursors;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
}

const BINDING = { organizationId: 'none', query: 'oidc' };

/** Null when no issuer is configured. */
export function createIdentityProvider(parts: IdentityProviderParts): IdentityProvider | null {
  if (parts.issuer === '') return null;
  const { clock, ids, log, cursors } = parts;
  let discovered: Promise<Configuration> | undefined;

  /** Asked for when somebody signs in, so that the server starts without the provider; a failure is not kept. */
  function configuration(): Promise<Configuration> {
    const issuer = new URL(parts.issuer);
    const isLocal = issuer.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(issuer.hostname);
    discovered ??= discovery(
      issuer,
      parts.clientId,
      parts.clientSecret === '' ? undefined : parts.clientSecret,
      undefined,
      {
        execute: isLocal ? [allowInsecureRequests] : [],
      },
    ).catch((error: unknown) => {
      discovered = undefined;
      log.warn({ err: error }, 'the identity provider could not be reached');
      throw new Fault('temporarily-unavailable', 'The identity provider cannot be reached at the moment.', {
        retryAfterSeconds: 5,
        cause: error,
      });
    });
    return discovered;
  }

  const redirectUri = (callbackUrl: string) => (parts.redirectUri === '' ? callbackUrl : parts.redirectUri);
  const random = () => ids.randomBytes(32).toString('base64url');

  return {
    async begin(callbackUrl, validMs) {
      const config = await configuration();
      const [state, nonce, verifier] = [random(), random(), random()];
      const url = buildAuthorizationUrl(config, {
        redirect_uri: redirectUri(callbackUrl),
        scope: 'openid email',
        state,
        nonce,
        code_challenge: await calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      });
      return { url: url.href, state: cursors.seal(BINDING, [state, nonce, verifier, clock.nowMs() + validMs]) };
    },
    async finish(callbackUrl, query, sealed) {
      const config = await configuration();
      const [state, nonce, verifier, endsAtMs] = openState(sealed);
      if (typeof endsAtMs !== 'number' || endsAtMs <= clock.nowMs()) throw refused();
      try {
        const tokens = await authorizationCodeGrant(config, new URL(`${redirectUri(callbackUrl)}?${query}`), {
          expectedState: String(state),
          expectedNonce: String(nonce),
          pkceCodeVerifier: String(verifier),
          idTokenExpected: true,
        });
        const claims = tokens.claims()!;
        // Many providers keep the address out of the ID token (OpenID Connect Core 5.4).
        const { email, email_verified: isVerified } =
          claims.email === undefined ? await fetchUserInfo(config, tokens.access_token, claims.sub) : claims;
        if (typeof email !== 'string' || isVerified !== true) throw refused();
        return email;
      } catch (error) {
        if (error instanceof Fault) throw error;
        log.info({ err: error }, 'an answer of the identity provider was refused');
        throw refused(error);
      }
    },
  };

  function openState(sealed: string | undefined): readonly (string | number)[] {
    try {
      return cursors.open(BINDING, sealed ?? '');
    } catch (error) {
      throw refused(error);
    }
  }
}

function refused(cause?: unknown): Fault {
  return new Fault(
    'sign-in-refused',
    'The identity provider did not vouch for an active user of this installation. Start again.',
    { cause },
  );
}
