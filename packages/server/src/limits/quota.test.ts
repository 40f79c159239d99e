import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbitraryPolicy, bucketOf, createModel, windowOf } from './conformance.ts';
import type { RatePolicy } from './limits.ts';
import { decide, forgottenFrom, hasRoom, limitOf, type Use, useAt, usedAfter } from './quota.ts';

const START_MS = Date.parse('2026-11-20T08:00:00.000Z');

/** Charges at moments, each at or after the one before. */
const arbitraryCharges = fc.array(
  fc.record({
    pauseMs: fc.oneof(fc.constant(0), fc.nat({ max: 999 }), fc.nat({ max: 12_000 })),
    cost: fc.nat({ max: 4 }),
  }),
  { maxLength: 60 },
);

function decideOne(policy: RatePolicy, use: Use | undefined, cost: number, nowMs: number, weight = 1) {
  const now = useAt(policy, use, Math.floor(nowMs / 1000));
  const request = { charges: [{ policy: { ...policy, mode: 'enforce' as const }, key: 'k', cost }] };
  const verdict = decide(request, { nowMs, uses: [now], slotsInUse: 0, slotsMax: 0, weight, isDry: false });
  return { state: verdict.states[0]!, use: verdict.uses[0] ?? now, isAllowed: verdict.allowed };
}

test('both algorithms decide as their models do, at any moments', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitraryCharges, (policy, charges) => {
      const model = createModel(policy);
      let [nowMs, use]: [number, Use | undefined] = [START_MS, undefined];
      for (const { pauseMs, cost } of charges) {
        nowMs += pauseMs;
        const isExpected = model.left(nowMs) >= Math.max(1, cost);
        const decided = decideOne(policy, use, cost, nowMs);
        expect(decided.isAllowed).toBe(isExpected);
        if (isExpected) model.use(nowMs, cost);
        expect(decided.state.remaining).toBe(Math.floor(model.left(nowMs)));
        use = decided.use;
      }
    }),
    { numRuns: 2000 },
  );
});

test('waiting as long as told is enough and, by a second, not too long; and more is left after the reset', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitraryCharges, (policy, charges) => {
      let [nowMs, use]: [number, Use | undefined] = [START_MS, undefined];
      for (const { pauseMs, cost } of charges) {
        nowMs += pauseMs;
        const { state, isAllowed, use: after } = decideOne(policy, use, cost, nowMs);
        use = after;
        const later = (seconds: number) => decideOne(policy, after, cost, nowMs + seconds * 1000);
        if (state.resetSeconds > 0 && state.remaining < state.limit && limitOf(policy) > 0) {
          expect(decideOne(policy, after, 0, nowMs + state.resetSeconds * 1000).state.remaining).toBeGreaterThan(
            state.remaining,
          );
        }
        if (isAllowed || !state.isPossible) continue;
        expect(state.retryAfterSeconds).toBeGreaterThanOrEqual(state.resetSeconds);
        expect(later(state.retryAfterSeconds).isAllowed).toBe(true);
        if (state.retryAfterSeconds > 1) expect(later(state.retryAfterSeconds - 1).isAllowed).toBe(false);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a use may be forgotten when it says so', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitraryCharges, (policy, charges) => {
      let [nowMs, use]: [number, Use | undefined] = [START_MS, undefined];
      for (const { pauseMs, cost } of charges) {
        nowMs += pauseMs;
        use = decideOne(policy, use, cost, nowMs).use;
      }
      if (use !== undefined) expect(useAt(policy, use, forgottenFrom(policy, use)).parts).toBe(0);
    }),
  );
});

test('in any span a bucket admits at most its capacity and one refill for each second boundary in it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      arbitraryCharges,
      (capacity, refillPerSecond, charges) => {
        const policy = bucketOf({ capacity, refillPerSecond });
        let [nowMs, use]: [number, Use | undefined] = [START_MS, undefined];
        const admitted: { atMs: number; cost: number }[] = [];
        for (const { pauseMs, cost } of charges) {
          nowMs += pauseMs;
          const decided = decideOne(policy, use, cost, nowMs);
          use = decided.use;
          if (decided.isAllowed) admitted.push({ atMs: nowMs, cost });
        }
        for (const [from, { atMs }] of admitted.entries()) {
          const spanSeconds = Math.floor((admitted.at(-1)!.atMs - atMs) / 1000);
          const total = admitted.slice(from).reduce((sum, { cost }) => sum + cost, 0);
          expect(total).toBeLessThanOrEqual(capacity + refillPerSecond * (spanSeconds + 1));
        }
      },
    ),
  );
});

test('nodes that go by their shares admit the limit together, or one request each where it is smaller than they are many', () => {
  fc.assert(
    fc.property(arbitraryPolicy, fc.integer({ min: 1, max: 12 }), (policy, nodes) => {
      let admitted = 0;
      for (let node = 0; node < nodes; node += 1) {
        let use: Use = { second: 0, parts: 0 };
        while (hasRoom(policy, use, 1, nodes)) {
          use = usedAfter(policy, use, 1, nodes);
          admitted += 1;
        }
      }
      const limit = limitOf(policy);
      expect(admitted).toBe(limit === 0 ? 0 : Math.max(nodes, nodes * Math.floor(limit / nodes)));
    }),
  );
});

test('a clock that is a few seconds behind opens no second window; one that is far behind is believed', () => {
  const policy = windowOf({ limit: 5, windowSeconds: 60 });
  const used: Use = { second: 6000, parts: 5000 };
  expect(useAt(policy, used, 5995)).toEqual(used);
  expect(useAt(policy, used, 5000)).toEqual({ second: 5000, parts: 0 });
  const bucket = bucketOf({ capacity: 5, refillPerSecond: 1 });
  expect(useAt(bucket, used, 5995)).toEqual(used);
  expect(useAt(bucket, used, 5000)).toEqual({ second: 5000, parts: 5000 });
});
