import type { HeldSlots } from './held-slots.ts';
import { slotKey } from './held-slots.ts';
import type { Charge, Decision, SlotState, TakeRequest } from './limits.ts';
import { decide, forgottenFrom, refundable, retryAfterOf, type Use, useAt, usedAfter, useKey } from './quota.ts';
import { createUseTable, type KeptUse } from './use-table.ts';

/**
 * What one of several nodes decides on its own while the shared store is away. It remembers the use of each limit as
 * the store told it last, and from there on each unit costs it as many as there are nodes, as if all did the same: so
 * together they admit what was left, rounded to at least one request per node and window. When the store is back, what
 * was decided meanwhile is told to it as a hint. Beyond its limit an outage admits at most what other nodes were
 * admitted since this one last heard of it, and for a count of nodes that is too low, in proportion.
 */
export interface Share {
  find(charge: Charge): ShareUse | undefined;
  /** Learns the use of a charge from the store; `sent` is what this node knew when it asked. */
  learn(charge: Charge, use: Use, sent: ShareUse | undefined, nowSecond: number): void;
  decide(request: TakeRequest, options: { nowMs: number; nodes: number; isDry: boolean }): Decision;
  giveBack(decision: Decision, nowMs: number, nodes: number): void;
}

export interface ShareUse extends KeptUse {
  /** Whether this node decided something since the store told it last. */
  readonly isNews: boolean;
}

export function createShare(held: HeldSlots, usesMax?: number): Share {
  const uses = createUseTable<ShareUse>(usesMax);
  const find = (charge: Charge) => uses.find(useKey(charge));

  function put(charge: Charge, use: Use, isNews: boolean, nowSecond: number): void {
    const kept = { second: use.second, parts: use.parts, forgottenFrom: forgottenFrom(charge.policy, use), isNews };
    uses.put(useKey(charge), kept, nowSecond);
  }

  return {
    find,
    learn(charge, use, sent, nowSecond) {
      // An answer to a question from before an outage knows nothing of what was decided in it.
      const known = find(charge);
      if (known === undefined || !known.isNews || known === sent) put(charge, use, false, nowSecond);
    },
    decide({ charges, slot }, { nowMs, nodes, isDry }) {
      const second = Math.floor(nowMs / 1000);
      const before = charges.map((charge) => useAt(charge.policy, find(charge), second));
      const name = slot && slotKey(slot);
      const inUse = name === undefined ? 0 : held.count(name);
      const slotFits = slot === undefined || inUse < shareOf(slot.policy.slotsMax, nodes);
      const verdict = decide(charges, before, slotFits || slot?.policy.mode === 'report', nowMs, nodes);
      const lease = verdict.allowed && slotFits && !isDry && name !== undefined ? held.ask(name).keep() : undefined;
      if (!isDry) {
        charges.forEach((charge, at) => {
          const use = verdict.uses[at];
          if (use !== undefined && charge.cost > 0) put(charge, use, true, second);
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
        source: 'share',
      };
    },
    giveBack(decision, nowMs, nodes) {
      const second = Math.floor(nowMs / 1000);
      for (const charge of refundable(decision, nowMs)) {
        const use = useAt(charge.policy, find(charge), second);
        put(charge, usedAfter(charge.policy, use, -charge.cost, nodes), true, second);
      }
    },
  };
}

function shareOf(slotsMax: number, nodes: number): number {
  return slotsMax === 0 ? 0 : Math.max(1, Math.floor(slotsMax / nodes));
}
