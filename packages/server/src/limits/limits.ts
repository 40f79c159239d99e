/**
 * The limits port: how much of something a caller may use, decided in one place for all nodes of an installation.
 * Promise: `take` decides everything a request is subject to at once and all or nothing: either every enforced limit
 * has room and all are charged, or nobody is charged, so a caller beyond its own limit uses up nobody else's. What is
 * admitted never exceeds a limit, whatever runs in parallel on however many nodes. Assumes names and keys identify
 * who is limited, and that a key is charged under one policy at a time (an edited policy applies at the next
 * decision; use so far counts). Fails never: `take` always decides, within `DECISION_MS_MAX` when the store of the
 * many-machine form is slow or away, then by this node's share of each limit (`source: 'share'`).
 *
 * Fixed window: at most `limit` in [k x windowSeconds, (k+1) x windowSeconds) of the Unix epoch. Token bucket: starts
 * full, gains `refillPerSecond` at each whole second of the epoch, up to `capacity`; in any span of T seconds it admits
 * at most capacity + refillPerSecond x (floor(T) + 1). Slots: at most `slotsMax` leases at once; the leases of a node
 * that died are free within `LEASE_TTL_MS`.
 */
export interface Limits {
  /** Decides and, when allowed, charges. One round trip. Throws RangeError when asked for nonsense (a programming error). */
  take(request: TakeRequest): Promise<Decision>;
  /** What `take` would decide, charging nothing: the caller's own use now. Carries no lease. */
  peek(request: TakeRequest): Promise<Decision>;
  /**
   * Takes back what a decision charged, as far as its window is still open: for limits that count failures only. Its
   * lease is not touched. Best effort: when the store is away, what was charged stays charged.
   */
  giveBack(decision: Decision): Promise<void>;
  /** Nodes that share the limits, as last known: 1 when this node is alone. */
  nodes(): number;
  /** Gives up all leases. */
  close(): Promise<void>;
}

/** `report`: decided and counted as if it were enforced, but never a reason to refuse. */
export type LimitMode = 'enforce' | 'report';

export interface FixedWindow {
  readonly algorithm: 'fixed-window';
  /** What callers see in the RateLimit fields: lower case letters, digits, hyphens. */
  readonly name: string;
  readonly limit: number;
  readonly windowSeconds: number;
  readonly mode: LimitMode;
}

export interface TokenBucket {
  readonly algorithm: 'token-bucket';
  readonly name: string;
  readonly capacity: number;
  /** To a thousandth. */
  readonly refillPerSecond: number;
  readonly mode: LimitMode;
}

export type RatePolicy = FixedWindow | TokenBucket;

export interface SlotPolicy {
  readonly name: string;
  readonly slotsMax: number;
  readonly mode: LimitMode;
}

export interface Charge {
  readonly policy: RatePolicy;
  /** Who is limited, within the policy's name: a key id, an organization, `product/VIN`. */
  readonly key: string;
  /** Whole units; 0 charges nothing and is refused when not even one unit is left. */
  readonly cost: number;
}

export interface SlotClaim {
  readonly policy: SlotPolicy;
  readonly key: string;
}

export interface TakeRequest {
  /** Each key of each policy at most once. */
  readonly charges: readonly Charge[];
  readonly slot?: SlotClaim | undefined;
}

/** How one rate limit stands after the decision. */
export interface ChargeState {
  readonly charge: Charge;
  /** Whether this limit had room. */
  readonly fits: boolean;
  readonly isCharged: boolean;
  /** False when the cost is above the whole limit: waiting does not help. */
  readonly isPossible: boolean;
  readonly limit: number;
  /** Whole units left. */
  readonly remaining: number;
  /** Until more is left: the window's end, the bucket's next whole token; 0 when the bucket is full. */
  readonly resetSeconds: number;
  /** Until the same charge fits if nobody else charges; 0 when it fits. */
  readonly retryAfterSeconds: number;
}

export interface SlotState {
  readonly claim: SlotClaim;
  readonly fits: boolean;
  readonly limit: number;
  /** With this request's own, when it got one. */
  readonly inUse: number;
}

/** A slot that is held until it is released. Releasing twice is releasing once. */
export interface Lease {
  release(): void;
}

export interface Decision {
  readonly allowed: boolean;
  /** In the order of the request. */
  readonly charges: readonly ChargeState[];
  readonly slot: SlotState | undefined;
  /** There when a slot was asked for and given; not for a slot that is lacking but only reported. */
  readonly lease: Lease | undefined;
  /** The longest wait among the limits that refuse; 0 when allowed. */
  readonly retryAfterSeconds: number;
  /** When it was decided, by the clock that decided: Unix ms. */
  readonly atMs: number;
  readonly source: 'memory' | 'redis' | 'share';
}

/** What a decision may wait for a shared store: the most a slow store can add to a request. */
export const DECISION_MS_MAX = 25;

/** A node that said nothing for so long has lost its leases; it says something three times as often. */
export const LEASE_TTL_MS = 9_000;

/** How many charges a request may carry: twice what the longest path of the product needs. */
export const CHARGES_MAX = 8;

/** When a slot comes free nobody knows; this is the answer to "when may I come again". */
export const SLOT_RETRY_SECONDS = 1;

/** The limits that refused this request. */
export function refusedBy(decision: Decision): readonly (ChargeState | SlotState)[] {
  return lacking(decision, 'enforce');
}

/** The limits that would have refused it if they were enforced. */
export function wouldRefuse(decision: Decision): readonly (ChargeState | SlotState)[] {
  return lacking(decision, 'report');
}

function lacking({ charges, slot }: Decision, mode: LimitMode): readonly (ChargeState | SlotState)[] {
  const states: (ChargeState | SlotState)[] = charges.filter(
    (state) => !state.fits && state.charge.policy.mode === mode,
  );
  return slot !== undefined && !slot.fits && slot.claim.policy.mode === mode ? [...states, slot] : states;
}

/** The policy a state is about. */
export function policyOf(state: ChargeState | SlotState): RatePolicy | SlotPolicy {
  return 'charge' in state ? state.charge.policy : state.claim.policy;
}
