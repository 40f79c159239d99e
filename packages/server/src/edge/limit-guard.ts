import { networkOf } from '@gladhand/base/network.ts';
import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../access/principal.ts';
import { limitFields } from '../limits/headers.ts';
import type { EnterIntake, IntakePass } from '../limits/intake-pass.ts';
import type { Charge, Decision, Lease, Limits } from '../limits/limits.ts';
import type { WaitingLine } from '../limits/waiting-line.ts';
import { countDecision, type LimitOutcome } from './decision-counts.ts';
import type { FixedLimits } from './fixed-limits.ts';
import type { Charged } from './give-back.ts';
import { intakeCharges } from './intake-charges.ts';
import { limitFault } from './limit-fault.ts';
import type { LimitRules } from './limit-rules.ts';
import { admitInTurn } from './read-admission.ts';

/**
 * The limits at the wall, after the guard: overload -> rate -> concurrency. Promise: a request that a limit refuses is
 * refused before its body is read; a request that is refused, for whatever reason, uses up nobody's quota
 * (give-back.ts); every answer under a limit carries the RateLimit fields; a slot is held from admission until the
 * answer has gone out or the client is gone. Assumes the rules answer from memory. Fails as the limits port does: never
 * open, never shut.
 */
export interface LimitGuardParts {
  readonly limits: Limits;
  readonly line: WaitingLine;
  readonly rules: LimitRules;
  readonly fixed: FixedLimits;
  /** What a key is called in the open; undefined for what cannot be a key. */
  readonly findPublicId: (apiKey: string) => string | undefined;
  readonly enterIntake: EnterIntake;
  /** A random number in [0, 1). */
  readonly random: () => number;
  readonly onDecided: (limit: string, outcome: LimitOutcome) => void;
  readonly onUsed: (
    key: { readonly keyId: string; readonly organizationId: string },
    used: { readonly isRefused: boolean; readonly wouldRefuse: boolean; readonly bytes: number },
  ) => void;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null unless the route is under the limit `intake`. */
    intakePass: IntakePass | null;
  }
}

/** One request on its way past its limit. `done` lets it on, or refuses it with an error. */
interface Passage {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly done: (error?: Error) => void;
}

const LIMITERS: Readonly<Record<Charged['kind'], (parts: LimitGuardParts, passage: Passage) => void>> = {
  intake: limitIntake,
  read: limitRead,
  authenticate: limitAuthenticate,
  rotate: limitRotate,
};

export function createLimitGuard(parts: LimitGuardParts) {
  return function limit(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const kind = request.routeOptions.config.limit;
    if (kind === undefined || kind === 'none' || request.is404) return done();
    try {
      LIMITERS[kind](parts, { request, reply, done });
    } catch (error) {
      done(error as Error);
    }
  };
}

function limitIntake(parts: LimitGuardParts, passage: Passage): void {
  const { request, done } = passage;
  const principal = principalOf(request);
  enterIntake(parts, principal, passage);
  const charges = intakeCharges(parts.rules, principal, request.params as AssetRef);
  // Whoever has no product is refused by intake itself.
  if (charges === undefined) return done();
  parts.limits.take({ charges }).then((decision) => settle(parts, passage, 'intake', decision), done);
}

function limitRead(parts: LimitGuardParts, passage: Passage): void {
  const { request, reply, done } = passage;
  const { organizationId: key } = request.principal ?? request.person!;
  const { reads, concurrency, waitMsMax, waitingRequestsMax: lengthMax } = parts.rules.of(key);
  const charges: readonly Charge[] = reads.map((policy) => ({ policy, key, cost: 1 }));
  const read = { key, lengthMax, waitMsMax, request: { charges, slot: { policy: concurrency, key } } };
  admitInTurn(parts, read, reply).then((decision) => settle(parts, passage, 'read', decision), done);
}

function limitAuthenticate(parts: LimitGuardParts, passage: Passage): void {
  const { request, done } = passage;
  const apiKey = request.headers['x-api-key'];
  // There is nothing to try: refused by the handler, at no cost.
  if (typeof apiKey !== 'string' || apiKey === '') return done();
  const publicId = parts.findPublicId(apiKey);
  const failure: Charge = { policy: parts.fixed.authenticateFailures, key: networkOf(request.ip), cost: 1 };
  const charges = publicId === undefined ? [] : [{ policy: parts.fixed.authenticate, key: publicId, cost: 1 }];
  parts.limits.take({ charges: [...charges, failure] }).then((decision) => {
    // What counts failures is not shown to those who have none.
    const isShown = publicId === undefined || !decision.allowed;
    const shown = isShown ? decision : { ...decision, charges: decision.charges.slice(0, 1) };
    settle(parts, passage, 'authenticate', decision, shown);
  }, done);
}

function limitRotate(parts: LimitGuardParts, passage: Passage): void {
  const charges = [{ policy: parts.fixed.rotate, key: principalOf(passage.request).keyId, cost: 1 }];
  parts.limits.take({ charges }).then((decision) => settle(parts, passage, 'rotate', decision), passage.done);
}

/** Answers with what was decided; `shown`: as much of it as the caller sees. */
function settle(
  parts: LimitGuardParts,
  { request, reply, done }: Passage,
  kind: Charged['kind'],
  decision: Decision,
  shown = decision,
): void {
  const { principal } = request;
  const wouldRefuse = countDecision(parts, decision, principal);
  if (principal !== null) {
    const isRefused = !decision.allowed;
    parts.onUsed(principal, { isRefused, wouldRefuse, bytes: isRefused ? 0 : declaredBytes(request) });
  }
  reply.headers({ ...limitFields(shown, 0) });
  if (decision.allowed) {
    request.charged = { kind, decision, shown };
    if (decision.lease !== undefined) holdWhileAnswering(reply, decision.lease, parts.line, decision.slot!.claim.key);
    return done();
  }
  const fault = limitFault(decision, parts.random());
  hangUpOnLargeBody(request, reply);
  done(fault);
}

function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new Error('this limit is for API keys: the route has no principal');
  return request.principal;
}

function enterIntake(parts: LimitGuardParts, principal: Principal, { request, reply }: Passage): void {
  try {
    const pass = parts.enterIntake({ keyId: principal.keyId, bytes: declaredBytes(request) });
    request.intakePass = pass;
    onceGone(reply, () => pass.leave());
  } catch (error) {
    parts.onUsed(principal, { isRefused: true, wouldRefuse: false, bytes: 0 });
    hangUpOnLargeBody(request, reply);
    throw error;
  }
}

/** Bytes of the body as announced; one that does not say how long it is may be as long as the route lets it. */
function declaredBytes(request: FastifyRequest): number {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (length !== undefined) return Number(length);
  return encoding === undefined ? 0 : request.routeOptions.bodyLimit;
}

/** Node reads a body nobody wanted to its end to keep the connection. What is longer than allowed is not worth that. */
function hangUpOnLargeBody(request: FastifyRequest, reply: FastifyReply): void {
  const isLong = request.headers['transfer-encoding'] !== undefined;
  if (isLong || declaredBytes(request) > request.routeOptions.bodyLimit) reply.header('connection', 'close');
}

/** Calls `then` when the answer has gone out or the client is gone, whichever is first. */
function onceGone(reply: FastifyReply, then: () => void): void {
  if (reply.raw.closed) then();
  else reply.raw.once('close', then);
}

function holdWhileAnswering(reply: FastifyReply, lease: Lease, line: WaitingLine, key: string): void {
  onceGone(reply, () => {
    lease.release();
    line.nudge(key);
  });
}
