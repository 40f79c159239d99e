import { type HeldSlots, slotKey } from './held-slots.ts';
import type { Charge, Decision, TakeRequest } from './limits.ts';
import {
  decide,
  decisionOf,
  forgottenFrom,
  refundable,
  type Situation,
  type Use,
  useAt,
  usedAfter,
  useKey,
} from './quota.ts';
import { createUseTable, type KeptUse } from './use-table.ts';

/**
 * Deciding in this process. A server that is alone does so always, with its share being all of it. One of several
 * nodes does so while the shared store is away: it remembers the use of each limit as the store told it last, and from
 * there on each unit costs it as many as there are nodes, as if all did the same: so together they admit what was left,
 * rounded to at least one request per node and window. When the store is back, what was decided meanwhile is told to it
 * as a hint. Beyond its limit an outage admits at most what other nodes were admitted since this one last heard of it,
 * and for a count of nodes that is too low, in proportion.
 */
export interface Share {
  find(charge: Charge): ShareUse | undefined;
  /** Learns the use of a charge from the store; `sent` is what this node knew when it asked. */
  learn(charge: Charge, use: Use, sent: ShareUse | undefined, nowSecond: number): void;
  decide(
    request: TakeRequest,
    options: { nowMs: number; nodes: number; isDry: boolean; source: 'memory' | 'share' },
  ): Decision;
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
    decide(request, { nowMs, nodes, isDry, source }) {
      const { charges, slot } = request;
      const second = Math.floor(nowMs / 1000);
      const name = slot && slotKey(slot);
      const situation: Situation = {
        nowMs,
        uses: charges.map((charge) => useAt(charge.policy, find(charge), second)),
        slotsInUse: name === undefined ? 0 : held.count(name),
        slotsMax: slot === undefined ? 0 : shareOf(slot.policy.slotsMax, nodes),
        weight: nodes,
        isDry,
      };
      const verdict = decide(request, situation);
      charges.forEach((charge, at) => {
        const use = verdict.uses[at];
        if (use !== undefined && charge.cost > 0) put(charge, use, true, second);
      });
      const lease = verdict.holdsSlot ? held.ask(name!).keep() : undefined;
      return decisionOf(request, situation, verdict, lease, source);
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
