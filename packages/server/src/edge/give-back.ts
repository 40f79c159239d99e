import type { FastifyReply, FastifyRequest } from 'fastify';
import { limitFields } from '../limits/headers.ts';
import type { ChargeState, Decision, Limits } from '../limits/limits.ts';
import type { RouteLimit } from './route-limit.ts';

/**
 * Which answers use up a limit. The rule: only what was done does. An answer of 2xx or 3xx counts; what is refused, or
 * fails on our side, gives back what it was charged, before the answer goes out and with RateLimit fields that say so.
 * Two exceptions. A read of what is not there (404) was looked for like any other. A try of a key that is refused (401,
 * 403) counts, because guessing is what the limits on keys are against.
 */
declare module 'fastify' {
  interface FastifyRequest {
    /** What the request was charged, until it is known whether that counts. */
    charged: Charged | null;
  }
}

export interface Charged {
  readonly kind: Exclude<RouteLimit, 'none'>;
  readonly decision: Decision;
  /** The same without what callers do not see. */
  readonly shown: Decision;
}

/** Counts keys that were refused, for each client address, and nothing else. */
const FAILURES = 'authenticate-failures';

function isUsedUp(name: string, kind: Charged['kind'], status: number): boolean {
  const isWrongKey = kind === 'authenticate' && (status === 401 || status === 403);
  if (name === FAILURES) return isWrongKey;
  return status < 400 || isWrongKey || (kind === 'read' && status === 404);
}

export function createGiveBack({ limits }: { readonly limits: Limits }) {
  return function giveBack(
    request: FastifyRequest,
    reply: FastifyReply,
    _payload: unknown,
    done: (error?: Error | null) => void,
  ): void {
    const { charged } = request;
    const { statusCode } = reply;
    request.charged = null;
    const isUnused = ({ charge }: ChargeState) => !isUsedUp(charge.policy.name, charged!.kind, statusCode);
    const unused = charged?.decision.charges.filter(isUnused) ?? [];
    if (charged === null || unused.length === 0) return done();
    const { decision, shown } = charged;
    const charges = shown.charges.map((state) => (unused.includes(state) ? uncharged(state) : state));
    reply.headers({ ...limitFields({ ...shown, charges }, 0) });
    // Where it cannot be given back, it counts until its window ends.
    limits.giveBack({ ...decision, charges: unused }).then(
      () => done(),
      () => done(),
    );
  };
}

function uncharged(state: ChargeState): ChargeState {
  if (!state.isCharged) return state;
  const remaining = Math.min(state.limit, state.remaining + state.charge.cost);
  return { ...state, remaining, resetSeconds: remaining === state.limit ? 0 : state.resetSeconds };
}
