import type { LimitUse } from '@gladhand/contract/limits.ts';
import type { Principal } from '../access/principal.ts';
import type { Charge, ChargeState, Limits, SlotState } from '../limits/limits.ts';
import type { FixedLimits } from './fixed-limits.ts';
import { intakeCharges, type LimitRules } from './limit-guard.ts';

/** Every limit a caller is under and its use now; looking costs nothing. */
export interface LimitUses {
  /** `vin`: whose intake is asked for. */
  ofKey(principal: Principal, vin: string | undefined): Promise<LimitUse[]>;
  ofOrganization(organizationId: string): Promise<LimitUse[]>;
}

export function createLimitUses(parts: { limits: Limits; rules: LimitRules; fixed: FixedLimits }): LimitUses {
  const { limits, rules, fixed } = parts;

  async function ofOrganization(organizationId: string): Promise<LimitUse[]> {
    const { reads, concurrency, proposedConcurrency, streams, proposedStreams } = rules.of(organizationId);
    const charges = reads.map((policy) => ({ policy, key: organizationId, cost: 1 }));
    const [requests, open] = await Promise.all([
      limits.peek({ charges, slot: { policy: concurrency, key: organizationId } }),
      limits.peek({ charges: [], slot: { policy: streams, key: organizationId } }),
    ]);
    return [
      ...requests.charges.map(chargeUse),
      ...slotUses(requests.slot!, 'concurrent-requests', proposedConcurrency),
      ...slotUses(open.slot!, 'streams', proposedStreams),
    ];
  }

  async function peekAll(charges: readonly Charge[]): Promise<LimitUse[]> {
    return (await limits.peek({ charges })).charges.map(chargeUse);
  }

  async function ofIntake(principal: Principal, vin: string | undefined): Promise<LimitUse[]> {
    const uses = await peekAll(intakeCharges(rules, principal, { vin: vin ?? '' }) ?? []);
    const isKnown = ({ name }: LimitUse) => vin !== undefined || name === 'intake-total';
    return uses.map((use) => (isKnown(use) ? use : { ...use, remaining: null, resetSeconds: null }));
  }

  return {
    ofOrganization,
    async ofKey(principal, vin) {
      const [intake, shared, own] = await Promise.all([
        ofIntake(principal, vin),
        ofOrganization(principal.organizationId),
        peekAll([{ policy: fixed.rotate, key: principal.keyId, cost: 1 }]),
      ]);
      return [...intake, ...shared, ...own];
    },
  };
}

function chargeUse({ charge: { policy }, limit, remaining, resetSeconds }: ChargeState): LimitUse {
  const isWindow = policy.algorithm === 'fixed-window';
  return {
    name: policy.name,
    mode: policy.mode,
    unit: 'requests',
    quota: limit,
    windowSeconds: isWindow ? policy.windowSeconds : null,
    refillPerSecond: isWindow ? null : policy.refillPerSecond,
    remaining,
    resetSeconds: remaining === limit ? 0 : resetSeconds,
  };
}

function slotUses(state: SlotState, unit: 'concurrent-requests' | 'streams', proposed: number | undefined): LimitUse[] {
  const { policy } = state.claim;
  const use = (name: string, quota: number, mode: LimitUse['mode']): LimitUse => ({
    name,
    mode,
    unit,
    quota,
    windowSeconds: null,
    refillPerSecond: null,
    remaining: Math.max(0, quota - state.inUse),
    resetSeconds: state.inUse === 0 ? 0 : null,
  });
  return [
    use(policy.name, state.limit, policy.mode),
    ...(proposed === undefined ? [] : [use(`${policy.name}-proposed`, proposed, 'report')]),
  ];
}
