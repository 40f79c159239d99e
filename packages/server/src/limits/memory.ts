import type { Clock } from '@gladhand/base/clock.ts';
import { createHeldSlots } from './held-slots.ts';
import type { Limits } from './limits.ts';
import { assertRequest } from './quota.ts';
import { createShare } from './share.ts';
import { createSteadyTime } from './steady-time.ts';

/** The limits of a server that is alone. What it counted dies with the process, and so do its leases. */
export function createMemoryLimits(parts: { clock: Clock; usesMax?: number }): Limits {
  const now = createSteadyTime(parts.clock);
  const share = createShare(createHeldSlots(), parts.usesMax);
  return {
    async take(request) {
      assertRequest(request);
      return share.decide(request, { nowMs: now(), nodes: 1, isDry: false, source: 'memory' });
    },
    async peek(request) {
      assertRequest(request);
      return share.decide(request, { nowMs: now(), nodes: 1, isDry: true, source: 'memory' });
    },
    async giveBack(decision) {
      share.giveBack(decision, now(), 1);
    },
    nodes: () => 1,
    close: async () => {},
  };
}
