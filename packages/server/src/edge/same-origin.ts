import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyRequest } from 'fastify';

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Refuses a request that changes something and is authenticated by a cookie unless the browser says it comes from our
 * own pages: `Sec-Fetch-Site` (W3C Fetch Metadata), or `Origin` where that is not sent. Neither: refused, because only
 * scripts send neither, and a script has its session as a bearer token.
 */
export function refuseCrossSite(request: FastifyRequest): void {
  if (!SAFE_METHODS.includes(request.method) && !isSameOrigin(request, false)) throw crossSite();
}

/** The same for a request without a credential, such as signing in: scripts, which send neither header, may. */
export function refuseKnownCrossSite(request: FastifyRequest): void {
  if (!isSameOrigin(request, true)) throw crossSite();
}

function isSameOrigin(request: FastifyRequest, isWithoutHeaders: boolean): boolean {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const origin = request.headers.origin;
  if (origin === undefined) return isWithoutHeaders;
  try {
    return new URL(origin).host === new URL(`${request.protocol}://${request.host}`).host;
  } catch {
    return false;
  }
}

function crossSite(): Fault {
  return new Fault(
    'cross-site-request',
    'A session cookie changes things only from our own pages. Scripts send the session as `Authorization: Bearer <accessToken>`.',
  );
}
