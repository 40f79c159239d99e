import { expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';

test('metrics tell how many envelopes wait for a product, and how many entries ended without an envelope', async () => {
  const deferred = new Map([
    ['a', 2],
    ['b', 1],
  ]);
  const metrics = createMetrics({
    database: { host: { state: 'ready' } },
    intakeLog: { backlog: async () => 7, deferred: async () => deferred },
    areLimitsShared: () => true,
    limitDecisionsByShare: () => 0,
  });
  metrics.onSettled({ recordsAdded: 0, recordsRepeated: 0, rejects: 0, unclaimed: 0, expired: 4 }, 0);
  const lines = (await metrics.render()).split('\n');
  expect(lines).toContain('gladhand_intake_backlog_envelopes 7');
  expect(lines).toContain('gladhand_intake_deferred_envelopes 3');
  expect(lines).toContain('gladhand_intake_expired_envelopes_total 4');
});
