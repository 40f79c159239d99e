import type { Clock } from '../base/clock.ts';
import { createHeldSlots, slotKey } from './held-slots.ts';
import type { Decision, Limits, SlotState, TakeRequest } from './limits.ts';
import { assertRequest, decide, forgottenFrom, refundable, retryAfterOf, useAt, usedAfter, useKey } from './quota.ts';
import { createSteadyTime } from './steady-time.ts';
import { createUseTable, type KeptUse } from './use-table.ts';

/** The limits of a server that is alone. What it counted dies with the process, and so do its leases. */
export function createMemoryLimits(parts: { clock: Clock; usesMax?: number }): Limits {
  const now = createSteadyTime(parts.clock);
  const uses = createUseTable<KeptUse>(parts.usesMax);
  const held = createHeldSlots();

  function decideNow({ charges, slot }: TakeRequest, isDry: boolean): Decision {
    const nowMs = now();
    const second = Math.floor(nowMs / 1000);
    const before = charges.map((charge) => useAt(charge.policy, uses.find(useKey(charge)), second));
    const name = slot && slotKey(slot);
    const inUse = name === undefined ? 0 : held.count(name);
    const slotFits = slot === undefined || inUse < slot.policy.slotsMax;
    const verdict = decide(charges, before, slotFits || slot?.policy.mode === 'report', nowMs);
    const lease = verdict.allowed && slotFits && !isDry && name !== undefined ? held.ask(name).keep() : undefined;
    if (!isDry) {
      charges.forEach((charge, at) => {
        const use = verdict.uses[at];
        if (use !== undefined && charge.cost > 0)
          uses.put(useKey(charge), { ...use, forgottenFrom: forgottenFrom(charge.policy, use) }, second);
      });
    }
    const slotState: SlotState | undefined = slot && {
      claim: slot,
      fits: slotFits,
      limit: slot.policy.slotsMax,
      inUse: lease === undefined ? inUse : inUse + 1,
    };
    return {
      allowed: verdict.allowed,
      charges: verdict.states,
      slot: slotState,
      lease,
      retryAfterSeconds: verdict.allowed ? 0 : retryAfterOf(verdict.states, slotState),
      atMs: nowMs,
      source: 'memory',
    };
  }

  return {
    async take(request) {
      assertRequest(request);
      return decideNow(request, false);
    },
    async peek(request) {
      assertRequest(request);
      return decideNow(request, true);
    },
    async giveBack(decision) {
      const nowMs = now();
      const second = Math.floor(nowMs / 1000);
      for (const charge of refundable(decision, nowMs)) {
        const use = usedAfter(charge.policy, useAt(charge.policy, uses.find(useKey(charge)), second), -charge.cost);
        uses.put(useKey(charge), { ...use, forgottenFrom: forgottenFrom(charge.policy, use) }, second);
      }
    },
    nodes: () => 1,
    close: async () => {},
  };
}
