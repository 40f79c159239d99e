import {
  CHARGES_MAX,
  type Charge,
  type ChargeState,
  type Decision,
  type Lease,
  type RatePolicy,
  SLOT_RETRY_SECONDS,
  type SlotState,
  type TakeRequest,
} from './limits.ts';

/**
 * The arithmetic of the rate limits, shared by every implementation; lua.ts repeats `useAt` and `hasRoom` and nothing
 * else. Both algorithms keep one thing: how much is used and as of which second. A window forgets it at its boundary,
 * a bucket works it off. All numbers are whole (thousandths of a unit), so both sides compute the same to the last digit.
 */
export interface Use {
  /** Whole seconds of the Unix epoch. */
  readonly second: number;
  /** Thousandths of a unit in use. */
  readonly parts: number;
}

export const PARTS_PER_UNIT = 1000;

/**
 * A clock that is behind what was seen by no more than this is taken to stand still, so that a clock set back a little
 * opens no second window. One that is further behind is believed: limits must not stay shut for an hour.
 */
export const STEP_BACK_SECONDS_MAX = 10;

export function limitOf(policy: RatePolicy): number {
  return policy.algorithm === 'fixed-window' ? policy.limit : policy.capacity;
}

/** What second `period` of a policy is about: a window's length in seconds, or a bucket's refill in parts per second. */
export function periodOf(policy: RatePolicy): number {
  return policy.algorithm === 'fixed-window'
    ? policy.windowSeconds
    : Math.round(policy.refillPerSecond * PARTS_PER_UNIT);
}

/** The name under which a use is kept. The algorithm is part of it, so changing it starts anew. */
export function useKey({ policy, key }: Charge): string {
  return `${policy.algorithm === 'fixed-window' ? 'w' : 'b'}:${policy.name}:${key}`;
}

/** What of `use` still counts at `nowSecond`. */
export function useAt(policy: RatePolicy, use: Use | undefined, nowSecond: number): Use {
  if (use === undefined) return { second: nowSecond, parts: 0 };
  const isJustBehind = nowSecond < use.second && use.second - nowSecond <= STEP_BACK_SECONDS_MAX;
  const second = isJustBehind ? use.second : nowSecond;
  const period = periodOf(policy);
  if (policy.algorithm === 'fixed-window') {
    const isSameWindow = Math.floor(second / period) === Math.floor(use.second / period);
    return { second, parts: isSameWindow ? Math.min(use.parts, policy.limit * PARTS_PER_UNIT) : 0 };
  }
  const full = policy.capacity * PARTS_PER_UNIT;
  const refilled = Math.max(0, second - use.second) * period;
  return { second, parts: Math.min(full, Math.max(0, use.parts - refilled)) };
}

/**
 * Whether `cost` fits. `weight` is how many units of the limit one unit costs here: 1, or the number of nodes when this
 * one goes by its share. A share smaller than the cost gives way when nothing is in use, so that nothing is refused for
 * ever.
 */
export function hasRoom(policy: RatePolicy, use: Use, cost: number, weight = 1): boolean {
  const limit = limitOf(policy);
  const wanted = Math.max(1, cost);
  return use.parts + wanted * weight * PARTS_PER_UNIT <= limit * PARTS_PER_UNIT || (use.parts === 0 && wanted <= limit);
}

export function usedAfter(policy: RatePolicy, use: Use, cost: number, weight = 1): Use {
  const parts = use.parts + cost * weight * PARTS_PER_UNIT;
  return { second: use.second, parts: Math.max(0, Math.min(limitOf(policy) * PARTS_PER_UNIT, parts)) };
}

/** The second from which on `use` needs not be kept. */
export function forgottenFrom(policy: RatePolicy, use: Use): number {
  return policy.algorithm === 'fixed-window'
    ? windowEnd(policy.windowSeconds, use)
    : use.second + Math.ceil(use.parts / periodOf(policy));
}

export interface Verdict {
  readonly allowed: boolean;
  readonly states: readonly ChargeState[];
  /** What is in use after it, where it was charged. */
  readonly uses: readonly (Use | undefined)[];
  /** Whether a slot was claimed and may be held. */
  readonly holdsSlot: boolean;
  readonly slotFits: boolean;
}

/** What a decision goes by. */
export interface Situation {
  readonly nowMs: number;
  /** As of now (`useAt`), one for each charge. */
  readonly uses: readonly Use[];
  /** Leases of the claimed slot, and how many of them this decider may give out. */
  readonly slotsInUse: number;
  readonly slotsMax: number;
  /** Units of a limit that one unit costs. */
  readonly weight: number;
  /** Only looks: says what fits, and how each limit stands without the charge. */
  readonly isDry: boolean;
}

/** Decides all or nothing. */
export function decide({ charges, slot }: TakeRequest, situation: Situation): Verdict {
  const { nowMs, uses, slotsInUse, slotsMax, weight, isDry } = situation;
  const fits = charges.map(({ policy, cost }, at) => hasRoom(policy, uses[at]!, cost, weight));
  const slotFits = slot === undefined || slotsInUse < slotsMax;
  const allowed =
    (slotFits || slot.policy.mode === 'report') &&
    charges.every(({ policy }, at) => fits[at] || policy.mode === 'report');
  const after = charges.map(({ policy, cost }, at) =>
    allowed && !isDry && fits[at] ? usedAfter(policy, uses[at]!, cost, weight) : undefined,
  );
  const states = charges.map((charge, at) => stateOf(charge, uses[at]!, after[at], fits[at]!, nowMs, weight));
  return { allowed, states, uses: after, slotFits, holdsSlot: allowed && !isDry && slotFits && slot !== undefined };
}

/** The verdict as the caller gets it. */
export function decisionOf(
  { slot }: TakeRequest,
  { nowMs, slotsInUse }: Situation,
  verdict: Verdict,
  lease: Lease | undefined,
  source: Decision['source'],
): Decision {
  const { allowed, states, slotFits } = verdict;
  const slotState: SlotState | undefined = slot && {
    claim: slot,
    fits: slotFits,
    limit: slot.policy.slotsMax,
    inUse: lease === undefined ? slotsInUse : slotsInUse + 1,
  };
  const retryAfterSeconds = allowed ? 0 : retryAfterOf(states, slotState);
  return { allowed, charges: states, slot: slotState, lease, retryAfterSeconds, atMs: nowMs, source };
}

function stateOf(
  charge: Charge,
  before: Use,
  after: Use | undefined,
  fits: boolean,
  nowMs: number,
  weight: number,
): ChargeState {
  const { policy, cost } = charge;
  const limit = limitOf(policy);
  const use = after ?? before;
  return {
    charge,
    fits,
    isCharged: after !== undefined,
    isPossible: Math.max(1, cost) <= limit,
    limit,
    remaining: Math.floor((limit * PARTS_PER_UNIT - use.parts) / (PARTS_PER_UNIT * weight)),
    resetSeconds: resetSeconds(policy, use, nowMs),
    retryAfterSeconds: fits ? 0 : waitSeconds(policy, use, Math.max(1, cost) * weight, nowMs),
  };
}

function resetSeconds(policy: RatePolicy, use: Use, nowMs: number): number {
  if (policy.algorithm === 'fixed-window') return secondsUntil(windowEnd(policy.windowSeconds, use), nowMs);
  if (use.parts === 0) return 0;
  const partial = (policy.capacity * PARTS_PER_UNIT - use.parts) % PARTS_PER_UNIT;
  return secondsUntil(use.second + Math.ceil((PARTS_PER_UNIT - partial) / periodOf(policy)), nowMs);
}

function waitSeconds(policy: RatePolicy, use: Use, units: number, nowMs: number): number {
  if (policy.algorithm === 'fixed-window') return secondsUntil(windowEnd(policy.windowSeconds, use), nowMs);
  const lacking = use.parts + (units - policy.capacity) * PARTS_PER_UNIT;
  return secondsUntil(use.second + Math.ceil(Math.min(lacking, use.parts) / periodOf(policy)), nowMs);
}

function windowEnd(windowSeconds: number, use: Use): number {
  return (Math.floor(use.second / windowSeconds) + 1) * windowSeconds;
}

/** Never less than 1: an answer that says 0 is asked again at once. */
function secondsUntil(second: number, nowMs: number): number {
  return Math.max(1, Math.ceil(second - nowMs / 1000));
}

function retryAfterOf(states: readonly ChargeState[], slot: SlotState | undefined): number {
  const isRefusedForSlot = slot !== undefined && !slot.fits && slot.claim.policy.mode === 'enforce';
  return states.reduce(
    (longest, state) => (state.charge.policy.mode === 'enforce' ? Math.max(longest, state.retryAfterSeconds) : longest),
    isRefusedForSlot ? SLOT_RETRY_SECONDS : 0,
  );
}

/** The charges of a decision to be given back at `nowMs`: what it charged, in windows that are still open. */
export function refundable({ charges, atMs }: Decision, nowMs: number): Charge[] {
  const isOpen = ({ policy }: Charge) =>
    policy.algorithm === 'token-bucket' ||
    Math.floor(atMs / 1000 / policy.windowSeconds) === Math.floor(nowMs / 1000 / policy.windowSeconds);
  return charges
    .filter((state) => state.isCharged && state.charge.cost > 0 && isOpen(state.charge))
    .map(({ charge }) => charge);
}

/** Throws RangeError: a request that no arithmetic can decide is a mistake of the code that made it. */
export function assertRequest({ charges, slot }: TakeRequest): void {
  if (charges.length > CHARGES_MAX) throw new RangeError(`at most ${CHARGES_MAX} charges, not ${charges.length}`);
  for (const [at, { policy, key, cost }] of charges.entries()) {
    const numbers =
      policy.algorithm === 'fixed-window'
        ? isCount(policy.limit) && isCount(policy.windowSeconds) && policy.windowSeconds > 0
        : isCount(policy.capacity) && periodOf(policy) >= 1 && isCount(periodOf(policy));
    if (!numbers || !isCount(cost)) throw new RangeError(`limit ${policy.name}: numbers out of range`);
    for (const other of charges.slice(0, at))
      if (other.key === key && other.policy.name === policy.name)
        throw new RangeError(`limit ${policy.name}: the same key twice`);
  }
  if (slot !== undefined && !isCount(slot.policy.slotsMax))
    throw new RangeError(`limit ${slot.policy.name}: numbers out of range`);
}

/** Whole and so small that thousandths of it, times a number of nodes, stay exact. */
const COUNT_MAX = 1_000_000_000;

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= COUNT_MAX;
}
