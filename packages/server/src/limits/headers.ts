import { type ChargeState, type Decision, policyOf, type RatePolicy, refusedBy, type SlotPolicy } from './limits.ts';

/**
 * The decision as HTTP fields: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11 (lists of
 * RFC 9651 strings with parameters) and `Retry-After` of RFC 9110. `q` quota, `w` the seconds it is for (a bucket's
 * time from empty to full), `qu` the unit when it is not requests, `r` what is left, `t` the seconds until more is
 * left. The partition key `pk` is left out: it would tell who shares a limit. Limits that are only reported are not
 * shown, for clients would obey them.
 */
export interface LimitFields {
  'ratelimit-policy'?: string;
  ratelimit?: string;
  'retry-after'?: string;
}

/** How much longer than needed a client is sent away, at most, so that all do not come back in the same second. */
const JITTER_SHARE = 0.25;

/** `jitter` is a random number in [0, 1); it matters for refusals only. */
export function limitFields(decision: Decision, jitter: number): LimitFields {
  const charges = decision.charges.filter(({ charge }) => charge.policy.mode === 'enforce');
  const slot = decision.slot?.claim.policy.mode === 'enforce' ? decision.slot : undefined;
  const policies = charges.map(({ charge }) => policyItem(charge.policy));
  const states = charges.map(stateItem);
  if (slot !== undefined) {
    policies.push(slotItem(slot.claim.policy));
    states.push(`${quoted(slot.claim.policy.name)};r=${Math.max(0, slot.limit - slot.inUse)}`);
  }
  return {
    ...(policies.length > 0 && { 'ratelimit-policy': policies.join(', '), ratelimit: states.join(', ') }),
    ...(!decision.allowed && { 'retry-after': String(retryAfterSeconds(decision, jitter)) }),
  };
}

/** At least 1, at least the longest wait and reset of the limits that refused, and up to a quarter (or 1 s) longer. */
export function retryAfterSeconds(decision: Decision, jitter: number): number {
  const resets = refusedBy(decision).map((state) => ('charge' in state ? state.resetSeconds : 0));
  const wait = Math.max(1, decision.retryAfterSeconds, ...resets);
  return wait + Math.floor(jitter * (Math.ceil(wait * JITTER_SHARE) + 1));
}

/** Names of the limits that refused: what the body of a 429 says. */
export function refusingNames(decision: Decision): readonly string[] {
  return refusedBy(decision).map((state) => policyOf(state).name);
}

function policyItem(policy: RatePolicy): string {
  return policy.algorithm === 'fixed-window'
    ? `${quoted(policy.name)};q=${policy.limit};w=${policy.windowSeconds}`
    : `${quoted(policy.name)};q=${policy.capacity};w=${Math.max(1, Math.ceil(policy.capacity / policy.refillPerSecond))}`;
}

function slotItem({ name, slotsMax }: SlotPolicy): string {
  return `${quoted(name)};q=${slotsMax};qu="concurrent-requests"`;
}

function stateItem({ charge, remaining, resetSeconds }: ChargeState): string {
  const item = `${quoted(charge.policy.name)};r=${remaining}`;
  return resetSeconds > 0 ? `${item};t=${resetSeconds}` : item;
}

/** RFC 9651 3.3.3: printable ASCII, quotes and backslashes escaped. */
function quoted(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
