import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import { bucketOf, slotsOf, windowOf } from './conformance.ts';
import { limitFields, refusingNames, retryAfterSeconds } from './headers.ts';
import { createMemoryLimits } from './memory.ts';

const clock = createManualClock(Date.parse('2026-11-20T08:00:20.000Z'));
const limits = createMemoryLimits({ clock });

test('the fields are those of the draft: policies, what is left and when there is more', async () => {
  const decision = await limits.take({
    charges: [
      { policy: windowOf({ name: 'intake', limit: 60, windowSeconds: 60 }), key: 'a', cost: 1 },
      { policy: bucketOf({ name: 'reads', capacity: 100, refillPerSecond: 30 }), key: 'a', cost: 0 },
      { policy: windowOf({ name: 'planned', limit: 1, windowSeconds: 60, mode: 'report' }), key: 'a', cost: 1 },
    ],
    slot: { policy: slotsOf({ name: 'concurrent', slotsMax: 20 }), key: 'a' },
  });
  expect(limitFields(decision, 0.5)).toEqual({
    'ratelimit-policy': '"intake";q=60;w=60, "reads";q=100;w=4, "concurrent";q=20;qu="concurrent-requests"',
    ratelimit: '"intake";r=59;t=40, "reads";r=100, "concurrent";r=19',
  });
});

test('a refusal says when to come again: never before the reset, and up to a quarter later', async () => {
  const charges = [
    { policy: windowOf({ name: 'vin', limit: 1, windowSeconds: 60 }), key: 'b', cost: 1 },
    { policy: windowOf({ name: 'product', limit: 9, windowSeconds: 3600 }), key: 'b', cost: 1 },
  ];
  await limits.take({ charges });
  const refused = await limits.take({ charges });
  expect(refusingNames(refused)).toEqual(['vin']);
  expect(limitFields(refused, 0)).toMatchObject({
    ratelimit: '"vin";r=0;t=40, "product";r=8;t=3580',
    'retry-after': '40',
  });
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (jitter) => {
      expect(retryAfterSeconds(refused, jitter)).toBeGreaterThanOrEqual(40);
      expect(retryAfterSeconds(refused, jitter)).toBeLessThanOrEqual(50);
    }),
  );
});

test('an answer that nothing limits has no such fields', async () => {
  expect(limitFields(await limits.take({ charges: [] }), 0)).toEqual({});
});
