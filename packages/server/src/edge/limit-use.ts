import { networkOf } from '@gladhand/base/network.ts';
import type { LimitUse } from '@gladhand/contract/limits.ts';
import type { Principal } from '../access/principal.ts';
import type { Charge, ChargeState, Limits, SlotState } from '../limits/limits.ts';
import type { FixedLimits } from './fixed-limits.ts';
import { intakeCharges } from './intake-charges.ts';
import type { LimitRules } from './limit-rules.ts';

/**
 * Every limit a caller is under and its use now, and no other; looking costs nothing. A key that may not send is under no
 * limit of intake, one that may not open streams under none of streams.
 */
export interface LimitUses {
  /** `vin`: whose intake is asked for; `address`: from where it is asked. */
  ofKey(principal: Principal, asked: { vin: string | undefined; address: string }): Promise<LimitUse[]>;
  /** What the keys of an organization share. */
  ofOrganization(organizationId: string): Promise<LimitUse[]>;
}

export function createLimitUses(parts: { limits: Limits; rules: LimitRules; fixed: FixedLimits }): LimitUses {
  const { limits, rules, fixed } = parts;

  async function ofReads(organizationId: string): Promise<LimitUse[]> {
    const { reads, concurrency, proposedConcurrency } = rules.of(organizationId);
    const charges = reads.map((policy) => ({ policy, key: organizationId, cost: 1 }));
    const requests = await limits.peek({ charges, slot: { policy: concurrency, key: organizationId } });
    return [
      ...requests.charges.map(chargeUse),
      ...slotUses(requests.slot!, 'concurrent-requests', proposedConcurrency),
    ];
  }

  async function ofStreams(organizationId: string): Promise<LimitUse[]> {
    const { streams, proposedStreams } = rules.of(organizationId);
    const open = await limits.peek({ charges: [], slot: { policy: streams, key: organizationId } });
    return slotUses(open.slot!, 'streams', proposedStreams);
  }

  async function peekAll(charges: readonly Charge[]): Promise<LimitUse[]> {
    return (await limits.peek({ charges })).charges.map(chargeUse);
  }

  async function ofIntake(principal: Principal, vin: string | undefined): Promise<LimitUse[]> {
    if (!principal.scopes.has('telemetry:write')) return [];
    const uses = await peekAll(intakeCharges(rules, principal, { vin: vin ?? '' }) ?? []);
    const isKnown = ({ name }: LimitUse) => vin !== undefined || name === 'intake-total';
    return uses.map((use) => (isKnown(use) ? use : { ...use, remaining: null, resetSeconds: null }));
  }

  return {
    async ofOrganization(organizationId) {
      const shared = await Promise.all([ofReads(organizationId), ofStreams(organizationId)]);
      return shared.flat();
    },
    async ofKey(principal, { vin, address }) {
      const { organizationId, publicId, keyId, scopes } = principal;
      const uses = await Promise.all([
        ofIntake(principal, vin),
        ofReads(organizationId),
        scopes.has('livefeed:connect') ? ofStreams(organizationId) : [],
        peekAll([
          { policy: fixed.authenticate, key: publicId, cost: 1 },
          { policy: fixed.authenticateFailures, key: networkOf(address), cost: 1 },
          { policy: fixed.rotate, key: keyId, cost: 1 },
        ]),
      ]);
      return uses.flat();
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
