import { Fault } from '@gladhand/base/fault.ts';
import { isUuid } from '@gladhand/base/ids.ts';
import { networkOf } from '@gladhand/base/network.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Principal } from '../access/principal.ts';
import type { Allowance, IntakeAllowance } from '../limits/allowance.ts';
import { limitFields } from '../limits/headers.ts';
import {
  type Charge,
  type Decision,
  type Lease,
  type Limits,
  type RatePolicy,
  SLOT_RETRY_SECONDS,
  type SlotClaim,
  type SlotPolicy,
  type TakeRequest,
} from '../limits/limits.ts';
import type { WaitingLine } from '../limits/waiting-line.ts';
import type { FixedLimits } from './fixed-limits.ts';
import type { Charged } from './give-back.ts';
import { refusalOf } from './refusal.ts';

/**
 * The limits at the wall, after the guard: overload -> rate -> concurrency. Promise: a request that a limit refuses is
 * refused before its body is read; a request that is refused, for whatever reason, uses up nobody's quota
 * (give-back.ts); every answer under a limit carries the RateLimit fields; a slot is held from admission until the
 * answer has gone out or the client is gone. Assumes the rules answer from memory. Fails as the limits port does: never
 * open, never shut.
 */
export type RouteLimit = 'intake' | 'read' | 'authenticate' | 'rotate' | 'none';

/** What everybody may use, from memory. */
export interface LimitRules {
  of(organizationId: string): Allowance;
  /** Undefined when there is no such product. */
  intake(product: string): IntakeAllowance | undefined;
}

export interface LimitGuardParts {
  readonly limits: Limits;
  readonly line: WaitingLine;
  readonly rules: LimitRules;
  readonly fixed: FixedLimits;
  /** What a key is called in the open; undefined for what cannot be a key. */
  readonly findPublicId: (apiKey: string) => string | undefined;
  /** Lets intake in, or throws `overloaded`. */
  readonly enterIntake: (arrival: { readonly keyId: string; readonly bytes: number }) => IntakePass;
  /** A random number in [0, 1). */
  readonly random: () => number;
  readonly onDecided: (limit: string, outcome: LimitOutcome) => void;
  readonly onUsed: (
    key: { readonly keyId: string; readonly organizationId: string },
    used: { readonly isRefused: boolean; readonly wouldRefuse: boolean; readonly bytes: number },
  ) => void;
}

/** Of a request that intake has let in; `leave` is called when it is over. */
export interface IntakePass {
  /** The body is here and has so many bytes; again when it is decoded. */
  hold(bytes: number): void;
  leave(): void;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null unless the route is under the limit `intake`. */
    intakePass: IntakePass | null;
  }
}

export type LimitOutcome = 'allowed' | 'refused' | 'would-refuse';

/** Gives a route its limit: what it declares, or what follows from who may call it. */
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

type Done = (error?: Error) => void;
type Limiter = (request: FastifyRequest, reply: FastifyReply, done: Done) => void;

export function createLimitGuard(parts: LimitGuardParts): Limiter {
  const { limits, line, rules, fixed } = parts;

  /** Answers with what was decided; `shown`: as much of it as the caller sees. */
  function settle(
    request: FastifyRequest,
    reply: FastifyReply,
    done: Done,
    kind: Charged['kind'],
    decision: Decision,
    shown = decision,
  ): void {
    const { principal } = request;
    const announced = principal !== null && noteAnnounced(parts, decision, principal);
    const wouldRefuse = noteDecision(parts, decision) || announced;
    if (principal !== null) {
      const isRefused = !decision.allowed;
      parts.onUsed(principal, { isRefused, wouldRefuse, bytes: isRefused ? 0 : declaredBytes(request) });
    }
    reply.headers({ ...limitFields(shown, 0) });
    if (decision.allowed) {
      request.charged = { kind, decision, shown };
      if (decision.lease !== undefined) holdWhileAnswering(reply, decision.lease, line, decision.slot!.claim.key);
      return done();
    }
    const fault = refusalOf(decision, parts.random());
    hangUpOnLargeBody(request, reply);
    done(fault);
  }

  const limiters: Readonly<Record<Exclude<RouteLimit, 'none'>, Limiter>> = {
    intake(request, reply, done) {
      const principal = principalOf(request);
      enterIntake(parts, principal, request, reply);
      const charges = intakeCharges(rules, principal, request.params as AssetPath);
      // Whoever has no product is refused by intake itself.
      if (charges === undefined) return done();
      limits.take({ charges }).then((decision) => settle(request, reply, done, 'intake', decision), done);
    },
    read(request, reply, done) {
      const { organizationId } = request.principal ?? request.person!;
      const allowance = rules.of(organizationId);
      const charges: readonly Charge[] = allowance.reads.map((policy) => ({ policy, key: organizationId, cost: 1 }));
      const slot: SlotClaim = { policy: allowance.concurrency, key: organizationId };
      const wait = { lengthMax: allowance.waitingRequestsMax, waitMsMax: allowance.waitMsMax };
      admitInTurn(parts, { key: organizationId, ...wait, request: { charges, slot } }, reply).then(
        (decision) => settle(request, reply, done, 'read', decision),
        done,
      );
    },
    authenticate(request, reply, done) {
      const apiKey = request.headers['x-api-key'];
      // There is nothing to try: refused by the handler, at no cost.
      if (typeof apiKey !== 'string' || apiKey === '') return done();
      const publicId = parts.findPublicId(apiKey);
      const failure: Charge = { policy: fixed.authenticateFailures, key: networkOf(request.ip), cost: 1 };
      const charges = publicId === undefined ? [] : [{ policy: fixed.authenticate, key: publicId, cost: 1 }];
      limits.take({ charges: [...charges, failure] }).then((decision) => {
        // What counts failures is not shown to those who have none.
        const isShown = publicId === undefined || !decision.allowed;
        const shown = isShown ? decision : { ...decision, charges: decision.charges.slice(0, 1) };
        settle(request, reply, done, 'authenticate', decision, shown);
      }, done);
    },
    rotate(request, reply, done) {
      const charges = [{ policy: fixed.rotate, key: principalOf(request).keyId, cost: 1 }];
      limits.take({ charges }).then((decision) => settle(request, reply, done, 'rotate', decision), done);
    },
  };

  return function limit(request, reply, done) {
    const kind = request.routeOptions.config.limit;
    if (kind === undefined || kind === 'none' || request.is404) return done();
    try {
      limiters[kind](request, reply, done);
    } catch (error) {
      done(error as Error);
    }
  };
}

/** How the asset stands in the path of intake. */
interface AssetPath {
  readonly vin?: string;
  readonly plantId?: string;
}

/**
 * Of each VIN or plant within a product, for each organization that sends: nobody uses up what another needs. Undefined
 * when there is no such product.
 */
export function intakeCharges(rules: LimitRules, principal: Principal, asset: AssetPath): Charge[] | undefined {
  const { organizationId, product } = principal;
  const allowance = product === null ? undefined : rules.intake(product);
  if (allowance === undefined) return undefined;
  const whole = `${organizationId}/${product}`;
  const key = `${whole}/${assetName(asset)}`;
  const charges: Charge[] = allowance.perAsset.map((policy) => ({ policy, key, cost: 1 }));
  for (const policy of allowance.total) charges.push({ policy, key: whole, cost: 1 });
  return charges;
}

/** As intake will read it; whatever is no name of an asset shares one quota, so that nobody makes up new ones. */
function assetName({ vin, plantId = '' }: AssetPath): string {
  if (vin === undefined) return isUuid(plantId) ? plantId.toLowerCase() : '-';
  const read = normalizeVin(vin);
  return read.ok ? read.vin : '-';
}

function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new Error('this limit is for API keys: the route has no principal');
  return request.principal;
}

function enterIntake(parts: LimitGuardParts, principal: Principal, request: FastifyRequest, reply: FastifyReply): void {
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

interface Turn {
  readonly key: string;
  readonly lengthMax: number;
  readonly waitMsMax: number;
  readonly request: TakeRequest;
}

/** What was decided at once, or when it was this request's turn; a refusal when its time is over or the line is full. */
async function admitInTurn({ limits, line }: LimitGuardParts, turn: Turn, reply: FastifyReply): Promise<Decision> {
  const { key, lengthMax, waitMsMax, request } = turn;
  if (line.length(key) === 0) {
    const decision = await limits.take(request);
    if (!isLackingSlotOnly(decision)) return decision;
  }
  const gone = new AbortController();
  const hangUp = () => gone.abort(new Fault('too-many-concurrent-requests', 'The client went away while it waited.'));
  reply.raw.once('close', hangUp);
  try {
    const entered = await line.enter<Decision>({
      key,
      lengthMax,
      waitMsMax,
      signal: gone.signal,
      async attempt() {
        const decision = await limits.take(request);
        return isLackingSlotOnly(decision) ? undefined : decision;
      },
      giveBack: (decision) => decision.lease?.release(),
    });
    return entered.outcome === 'entered' ? entered.value : withoutSlot(await limits.peek(request));
  } finally {
    reply.raw.off('close', hangUp);
  }
}

/** Refused although a slot may have come free by now: it is for who stands in line. */
function withoutSlot(decision: Decision): Decision {
  const { slot } = decision;
  const retryAfterSeconds = Math.max(SLOT_RETRY_SECONDS, decision.retryAfterSeconds);
  return { ...decision, allowed: false, retryAfterSeconds, slot: slot && { ...slot, fits: false } };
}

function isLackingSlotOnly({ allowed, charges, slot }: Decision): boolean {
  if (allowed || slot === undefined || slot.fits) return false;
  return charges.every(({ fits, charge }) => fits || charge.policy.mode === 'report');
}

/** Counts what each limit said; true when one that is only reported would have refused. */
function noteDecision({ onDecided }: LimitGuardParts, { charges, slot }: Decision): boolean {
  let wouldRefuse = false;
  const noteOne = (fits: boolean, { name, mode }: RatePolicy | SlotPolicy) => {
    onDecided(name, fits ? 'allowed' : mode === 'enforce' ? 'refused' : 'would-refuse');
    if (!fits && mode === 'report') wouldRefuse = true;
  };
  for (const { fits, charge } of charges) noteOne(fits, charge.policy);
  if (slot !== undefined) noteOne(slot.fits, slot.claim.policy);
  return wouldRefuse;
}

/** The same for a number of slots that is announced beside the one that holds. */
function noteAnnounced(parts: LimitGuardParts, { slot }: Decision, { organizationId }: Principal): boolean {
  const announced = slot === undefined ? undefined : parts.rules.of(organizationId).proposedConcurrency;
  if (slot === undefined || announced === undefined) return false;
  const wouldRefuse = slot.inUse > announced;
  parts.onDecided('concurrent-requests-proposed', wouldRefuse ? 'would-refuse' : 'allowed');
  return wouldRefuse;
}
