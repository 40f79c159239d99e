import { networkOf } from '@gladhand/base/network.ts';
import type { FixedLimits } from './fixed-limits.ts';
import { limitFault } from './limit-fault.ts';
import type { LimitGuardParts } from './limit-guard.ts';

/**
 * Tries of API keys that are sent as they are and that this node does not know, for each client address: counted
 * together with failed authentications. Throws `too-many-attempts`; the answer takes a try back that was right.
 */
export type BeginKeyAttempt = (address: string) => Promise<() => void>;

export function createKeyAttempts(
  parts: Pick<LimitGuardParts, 'limits' | 'random' | 'onDecided'> & { fixed: FixedLimits },
): BeginKeyAttempt {
  const { limits, fixed, onDecided } = parts;
  const policy = fixed.authenticateFailures;
  return async (address) => {
    const decision = await limits.take({ charges: [{ policy, key: networkOf(address), cost: 1 }] });
    const isRoom = decision.charges[0]!.fits;
    onDecided(policy.name, isRoom ? 'allowed' : policy.mode === 'enforce' ? 'refused' : 'would-refuse');
    if (!decision.allowed) throw limitFault(decision, parts.random());
    // Whatever is not given back counts against the address until its window ends.
    return () => void limits.giveBack(decision).catch(() => {});
  };
}
