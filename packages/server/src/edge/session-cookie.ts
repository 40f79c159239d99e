import type { FastifyRequest } from 'fastify';

/**
 * A browser's session in its cookie (RFC 6265): no script reads it, no other site's request carries it, and over
 * https it never travels in the clear. Whether the request came over https is asked of trusted proxies only.
 */
export const SESSION_COOKIE = 'gladhand_session';

export interface CookieOrder {
  readonly name: string;
  readonly value: string;
  readonly maxAgeSeconds: number;
  readonly path: string;
  /** Lax: sent when another site leads the browser here, as an identity provider does. */
  readonly sameSite: 'Strict' | 'Lax';
}

/** The value of a Set-Cookie header; `maxAgeSeconds` 0 takes the cookie away. */
export function writeCookie(request: FastifyRequest, cookie: CookieOrder): string {
  const secure = request.protocol === 'https' ? '; Secure' : '';
  return `${cookie.name}=${cookie.value}; Path=${cookie.path}; Max-Age=${cookie.maxAgeSeconds}; HttpOnly; SameSite=${cookie.sameSite}${secure}`;
}

/** The first cookie of this name in a Cookie header. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of (header ?? '').split(';')) {
    const [key, value] = pair.trim().split('=', 2);
    if (key === name && value !== undefined && value !== '') return value;
  }
  return undefined;
}
