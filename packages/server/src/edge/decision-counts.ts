import type { Principal } from '../access/principal.ts';
import type { Decision, RatePolicy, SlotPolicy } from '../limits/limits.ts';
import type { LimitRules } from './limit-rules.ts';

export type LimitOutcome = 'allowed' | 'refused' | 'would-refuse';

export interface DecisionCounts {
  readonly rules: LimitRules;
  readonly onDecided: (limit: string, outcome: LimitOutcome) => void;
}

/** Counts what each limit said; true when one that is only reported, or announced, would have refused. */
export function countDecision(parts: DecisionCounts, decision: Decision, principal: Principal | null): boolean {
  const wouldRefuse = countLimits(parts, decision);
  const wouldRefuseAnnounced = principal !== null && countAnnounced(parts, decision, principal);
  return wouldRefuse || wouldRefuseAnnounced;
}

function countLimits({ onDecided }: DecisionCounts, { charges, slot }: Decision): boolean {
  let wouldRefuse = false;
  const countOne = (fits: boolean, { name, mode }: RatePolicy | SlotPolicy) => {
    onDecided(name, fits ? 'allowed' : mode === 'enforce' ? 'refused' : 'would-refuse');
    if (!fits && mode === 'report') wouldRefuse = true;
  };
  for (const { fits, charge } of charges) countOne(fits, charge.policy);
  if (slot !== undefined) countOne(slot.fits, slot.claim.policy);
  return wouldRefuse;
}

/** The same for a number of slots that is announced beside the one that holds. */
function countAnnounced(parts: DecisionCounts, { slot }: Decision, { organizationId }: Principal): boolean {
  const announced = slot === undefined ? undefined : parts.rules.of(organizationId).proposedConcurrency;
  if (slot === undefined || announced === undefined) return false;
  const wouldRefuse = slot.inUse > announced;
  parts.onDecided('concurrent-requests-proposed', wouldRefuse ? 'would-refuse' : 'allowed');
  return wouldRefuse;
}
