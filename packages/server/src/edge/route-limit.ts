import type { RouteOptions } from 'fastify';

/** Which limit a route is under. */
export type RouteLimit = 'intake' | 'read' | 'authenticate' | 'rotate' | 'none';

/**
 * Gives a route its limit: what it declares, or what follows from who may call it. Throws when a public route that changes
 * something declares none.
 */
export function declareLimit(route: RouteOptions): void {
  const { access, limit } = route.config ?? {};
  if (limit !== undefined) return;
  const isRead = [route.method].flat().every((method) => method === 'GET' || method === 'HEAD');
  if (access === 'public' && !isRead) {
    throw new Error(`${String(route.method)} ${route.url} declares no limit: set config.limit, if only to 'none'`);
  }
  const isForKeys = access !== undefined && access !== 'public' && access.audience !== undefined;
  route.config = { ...route.config, limit: isForKeys ? 'read' : 'none' } as NonNullable<typeof route.config>;
}
