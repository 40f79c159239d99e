import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { RouteApi } from './api-addresses.ts';
import type { ErrorFamily } from './problem.ts';

/**
 * What there is at a path, for requests that no route answers. An unknown path is 404. A known path with another
 * method is 405 with `Allow` (RFC 9110 15.5.6), and OPTIONS is answered with `Allow` alone (9.3.7), without asking who
 * is calling: the reference at /docs says as much.
 */
export interface KnownRoutes {
  add(route: RouteOptions): void;
  /** The family of errors at this path; `problem` where there is nothing. */
  familyAt(path: string): ErrorFamily;
  /** The API that a path belongs to; undefined where there is nothing. */
  apiAt(path: string): RouteApi | undefined;
  /** Throws `not-found` or `method-not-allowed`, or answers OPTIONS. */
  answer(request: FastifyRequest, reply: FastifyReply): void;
}

interface KnownRoute {
  readonly method: string;
  readonly path: RegExp;
  readonly errors: ErrorFamily;
  readonly api: RouteApi;
}

/** As `Allow` lists them. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
export const ALLOW_ALL = METHODS.join(', ');
const PATH_CHARS_SHOWN = 200;

export function createKnownRoutes(): KnownRoutes {
  const known: KnownRoute[] = [];
  const matching = (path: string) => known.filter((route) => route.path.test(path));
  return {
    add(route) {
      const { errors = 'problem', api = 'integration' } = route.config ?? {};
      for (const method of [route.method].flat()) known.push({ method, path: patternOf(route.url), errors, api });
    },
    familyAt: (path) => matching(path)[0]?.errors ?? 'problem',
    apiAt: (path) => matching(path)[0]?.api,
    answer(request, reply) {
      const path = pathOf(request.url);
      const methods = matching(path).map((route) => route.method);
      const isServer = path === '*';
      const allowed = METHODS.filter((method) => isServer || method === 'OPTIONS' || methods.includes(method));
      const isKnown = isServer || methods.length > 0;
      if (isKnown && request.method === 'OPTIONS') {
        void reply.code(204).header('allow', allowed.join(', ')).send();
        return;
      }
      if (isKnown && !allowed.includes(request.method)) throw methodNotAllowed(request.method, allowed);
      throw new Fault(
        'not-found',
        `There is nothing at ${request.method} ${path.slice(0, PATH_CHARS_SHOWN)}. The API's paths are listed at /docs.`,
      );
    },
  };
}

function methodNotAllowed(method: string, allowed: readonly string[]): Fault {
  const useful = allowed.filter((one) => one !== 'HEAD' && one !== 'OPTIONS');
  return new Fault('method-not-allowed', `${method} is not possible here; use ${useful.join(' or ')}.`, {
    headers: { allow: allowed.join(', ') },
  });
}

/** The path of a request target in any of its forms, `http://host/path?query` included (RFC 9112 3.2). */
export function pathOf(target: string): string {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split('?', 1)[0] || '/';
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** With and without a trailing slash, like the router. */
function patternOf(url: string): RegExp {
  const literal = url.replace(/\/$/, '').replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/:[^/]+/g, '[^/]+').replaceAll('*', '.*')}/?$`);
}
