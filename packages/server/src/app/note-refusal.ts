import type { Fault } from '@gladhand/base/fault.ts';
import type { FastifyRequest } from 'fastify';
import type { RefusedKey } from '../access/admission.ts';
import type { Person } from '../access/principal.ts';
import type { Refusals } from '../audit/refused-access.ts';
import { originOf } from '../edge/person-route.ts';

import type { Client } from '../people/sign-in.ts';

/**
 * Whether a fault is an access refusal, which the audit log records: every 401 and 403, too many attempts, and a 404 for a
 * known caller, because data that the caller may not see is answered with 404.
 */
function isRefusedAccess({ status, code }: Fault, isRecognized: boolean): boolean {
  return status === 401 || status === 403 || code === 'too-many-attempts' || (status === 404 && isRecognized);
}

/** Adds the fault to the audit log if it is an access refusal. `key` is set if a known key was refused. */
export function noteRefusal(refusals: Refusals, fault: Fault, request: FastifyRequest, key?: RefusedKey): void {
  const caller = request.person ?? request.principal ?? key ?? null;
  if (!isRefusedAccess(fault, caller !== null && !request.is404)) return;
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

/** Does the same for a LiveFeed stream that was refused when it was opened. */
export function noteStreamRefusal(
  refusals: Refusals,
  fault: Fault,
  call: { key?: RefusedKey | undefined; person?: Person; address: string; requestId: string },
): void {
  const { key, person, address, requestId } = call;
  const caller = person ?? key;
  if (!isRefusedAccess(fault, caller !== undefined)) return;
  refusals.note({
    organizationId: caller?.organizationId ?? null,
    actor: person
      ? { kind: 'person', id: person.personId }
      : key
        ? { kind: 'key', id: key.keyId }
        : { kind: 'anonymous', id: null },
    code: fault.code,
    route: 'LiveFeed/Subscribe',
    target: null,
    address,
    requestId,
  });
}

/** The same for a sign-in with the email address of somebody; nobody is recognized by it. */
export function noteRefusedSignIn(
  refusals: Refusals,
): (account: { organizationId: string; personId: string }, from: Client) => void {
  return ({ organizationId, personId }, { address, requestId }) =>
    refusals.note({
      organizationId,
      actor: { kind: 'anonymous', id: null },
      target: { kind: 'user', id: personId },
      code: 'sign-in-refused',
      route: 'POST /api/v1/auth/sign-in',
      address,
      requestId,
    });
}
