import type { FastifyRequest } from 'fastify';
import type { Fault } from '../base/fault.ts';
import { originOf } from '../edge/person-route.ts';
import type { Refusals } from '../organizations/refusals.ts';

/** A key that was recognized and refused, so that the request has no principal. */
export interface RefusedKey {
  readonly keyId: string;
  readonly organizationId: string;
}

/**
 * What of an answered fault is refused access, for the audit log: every 401 and 403, too many attempts, and a 404 of
 * somebody who is recognized, because what they may not see is answered so.
 */
export function noteRefusal(refusals: Refusals, fault: Fault, request: FastifyRequest, key?: RefusedKey): void {
  const caller = request.person ?? request.principal ?? key ?? null;
  const isRefused =
    fault.status === 401 ||
    fault.status === 403 ||
    fault.code === 'too-many-attempts' ||
    (fault.status === 404 && caller !== null && !request.is404);
  if (!isRefused) return;
  const { actor } = key === undefined ? originOf(request) : { actor: { kind: 'key' as const, id: key.keyId } };
  const route = `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
  refusals.note({
    organizationId: caller?.organizationId ?? null,
    actor,
    code: fault.code,
    route,
    target: null,
    address: request.ip,
    requestId: request.id,
  });
}
