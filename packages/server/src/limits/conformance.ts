import { systemIds } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type Charge,
  type Decision,
  type FixedWindow,
  type Limits,
  type RatePolicy,
  refusedBy,
  type SlotPolicy,
  type TokenBucket,
  wouldRefuse,
} from './limits.ts';

/** An implementation and the time it goes by. */
export interface LimitsUnderTest {
  /** A node of the same installation each time; closed by the test. */
  openNode(): Promise<Limits>;
  /** Lets `ms` pass by the clock that decides, at least. */
  passTime(ms: number): Promise<void>;
}

/** What the server relies on, whoever decides: run against every implementation there is. */
export function describeLimits(name: string, open: () => Promise<LimitsUnderTest>): void {
  describe(name, () => {
    let subject: LimitsUnderTest;
    beforeAll(async () => {
      subject = await open();
    });
    async function openNode(): Promise<Limits> {
      const limits = await subject.openNode();
      onTestFinished(() => limits.close());
      return limits;
    }

    test('a window admits exactly its limit, however many ask at once, and says when the next request fits', async () => {
      const limits = await openNode();
      const policy = windowOf({ limit: 10, windowSeconds: 300 });
      const key = freshKey();
      const decisions = await Promise.all(
        Array.from({ length: 100 }, () => limits.take({ charges: [{ policy, key, cost: 1 }] })),
      );
      // The boundary of five minutes may fall between two of them.
      const windows = Map.groupBy(decisions, ({ atMs }) => Math.floor(atMs / 300_000));
      for (const inWindow of windows.values()) {
        const admitted = inWindow.filter(({ allowed }) => allowed);
        expect(admitted).toHaveLength(Math.min(10, inWindow.length));
        expect(admitted.map(({ charges }) => charges[0]!.remaining)).toEqual(admitted.map((_, at) => 9 - at));
      }
      const last = decisions.at(-1)!;
      expect(last.retryAfterSeconds).toBe(Math.ceil(300 - ((last.atMs / 1000) % 300)));
      expect(refusedBy(last)).toEqual([last.charges[0]]);
    });

    test('a window begins anew on its boundary of the epoch', async () => {
      const limits = await openNode();
      const policy = windowOf({ limit: 1, windowSeconds: 2 });
      const charges = [{ policy, key: freshKey(), cost: 1 }];
      const first = await limits.take({ charges });
      expect(first.allowed).toBe(true);
      await subject.passTime(2000 - (first.atMs % 2000));
      const next = await limits.take({ charges });
      expect(Math.floor(next.atMs / 2000)).toBeGreaterThan(Math.floor(first.atMs / 2000));
      expect(next.allowed).toBe(true);
    });

    test('a bucket starts full, and waiting as long as it says is enough', async () => {
      const limits = await openNode();
      const charges = [{ policy: bucketOf({ capacity: 5, refillPerSecond: 2 }), key: freshKey(), cost: 1 }];
      expect((await limits.peek({ charges })).charges[0]).toMatchObject({ remaining: 5, resetSeconds: 0 });
      for (let taken = 0; taken < 5; taken += 1) await limits.take({ charges });
      let refused = await limits.take({ charges });
      while (refused.allowed) refused = await limits.take({ charges });
      expect(refused.retryAfterSeconds).toBe(1);
      await subject.passTime(refused.retryAfterSeconds * 1000);
      expect((await limits.take({ charges })).allowed).toBe(true);
    });

    test('all or nothing: a request that one limit refuses uses up none of the others', async () => {
      const limits = await openNode();
      const product = {
        policy: windowOf({ name: 'intake', limit: 100, windowSeconds: 3600 }),
        key: freshKey(),
        cost: 1,
      };
      const vin = { policy: windowOf({ name: 'intake-vin', limit: 2, windowSeconds: 3600 }), key: freshKey(), cost: 1 };
      for (let sent = 0; sent < 10; sent += 1) await limits.take({ charges: [product, vin] });
      expect((await limits.peek({ charges: [product] })).charges[0]!.remaining).toBe(98);
      const other = { ...vin, key: freshKey() };
      expect((await limits.take({ charges: [product, other] })).allowed).toBe(true);
    });

    test('a limit that is only reported refuses nobody and counts as if it did', async () => {
      const limits = await openNode();
      const report = windowOf({ name: 'planned', limit: 3, windowSeconds: 3600, mode: 'report' });
      const charges = [
        { policy: windowOf({ limit: 100, windowSeconds: 3600 }), key: freshKey(), cost: 1 },
        { policy: report, key: freshKey(), cost: 1 },
      ];
      const decisions: Decision[] = [];
      for (let sent = 0; sent < 5; sent += 1) decisions.push(await limits.take({ charges }));
      expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true]);
      expect(decisions.map((decision) => wouldRefuse(decision).length)).toEqual([0, 0, 0, 1, 1]);
      expect(decisions.at(-1)!.charges.map(({ remaining }) => remaining)).toEqual([95, 0]);
      expect(decisions.at(-1)!.retryAfterSeconds).toBe(0);
    });

    test('looking costs nothing, and a cost of nothing is refused when nothing is left', async () => {
      const limits = await openNode();
      const charge = { policy: windowOf({ limit: 1, windowSeconds: 3600 }), key: freshKey(), cost: 1 };
      for (let looked = 0; looked < 3; looked += 1)
        expect((await limits.peek({ charges: [charge] })).allowed).toBe(true);
      const free = { ...charge, cost: 0 };
      expect((await limits.take({ charges: [free] })).allowed).toBe(true);
      expect((await limits.take({ charges: [charge] })).allowed).toBe(true);
      expect((await limits.take({ charges: [free] })).allowed).toBe(false);
      expect((await limits.peek({ charges: [charge] })).allowed).toBe(false);
    });

    test('a cost above the whole limit is refused with the word that waiting does not help', async () => {
      const limits = await openNode();
      const decision = await limits.take({
        charges: [{ policy: bucketOf({ capacity: 5, refillPerSecond: 1 }), key: freshKey(), cost: 6 }],
      });
      expect(decision).toMatchObject({ allowed: false, charges: [{ fits: false, isPossible: false, remaining: 5 }] });
      expect(decision.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    });

    test('what is given back can be used again', async () => {
      const limits = await openNode();
      const charges = [
        { policy: windowOf({ limit: 1, windowSeconds: 3600 }), key: freshKey(), cost: 1 },
        { policy: bucketOf({ capacity: 1, refillPerSecond: 0.001 }), key: freshKey(), cost: 1 },
      ];
      for (let tries = 0; tries < 5; tries += 1) {
        const decision = await limits.take({ charges });
        expect(decision.allowed).toBe(true);
        await limits.giveBack(decision);
      }
      await limits.take({ charges });
      expect((await limits.take({ charges })).allowed).toBe(false);
    });

    test('an edited policy applies at the next decision, and use so far counts', async () => {
      const limits = await openNode();
      const key = freshKey();
      const take = (limit: number) =>
        limits.take({ charges: [{ policy: windowOf({ limit, windowSeconds: 3600 }), key, cost: 1 }] });
      for (let sent = 0; sent < 5; sent += 1) await take(10);
      expect((await take(5)).allowed).toBe(false);
      expect((await take(6)).allowed).toBe(true);
      expect((await take(10)).charges[0]!.remaining).toBe(3);
    });

    test('slots are held until they are released, once', async () => {
      const limits = await openNode();
      const slot = { policy: slotsOf({ slotsMax: 2 }), key: freshKey() };
      const take = () => limits.take({ charges: [], slot });
      const [one, two, three] = [await take(), await take(), await take()];
      expect([one, two, three].map(({ allowed, slot: state }) => [allowed, state!.inUse])).toEqual([
        [true, 1],
        [true, 2],
        [false, 2],
      ]);
      expect(three.lease).toBeUndefined();
      one.lease!.release();
      one.lease!.release();
      const again = await take();
      expect([again.allowed, (await take()).allowed]).toEqual([true, false]);
      two.lease!.release();
      again.lease!.release();
      expect((await limits.peek({ charges: [], slot })).slot!.inUse).toBe(0);
    });

    test('a request without a slot is not charged, and one that a rate refuses gets no slot', async () => {
      const limits = await openNode();
      const slot = { policy: slotsOf({ slotsMax: 1 }), key: freshKey() };
      const charges = [{ policy: windowOf({ limit: 2, windowSeconds: 3600 }), key: freshKey(), cost: 1 }];
      const first = await limits.take({ charges, slot });
      expect((await limits.take({ charges, slot })).charges[0]).toMatchObject({
        fits: true,
        isCharged: false,
        remaining: 1,
      });
      first.lease!.release();
      (await limits.take({ charges, slot })).lease!.release();
      expect((await limits.take({ charges, slot })).lease).toBeUndefined();
      expect((await limits.peek({ charges: [], slot })).slot!.inUse).toBe(0);
    });

    test('what a node held is free when it is closed', async () => {
      const gone = await subject.openNode();
      const limits = await openNode();
      const slot = { policy: slotsOf({ slotsMax: 3 }), key: freshKey() };
      for (let held = 0; held < 3; held += 1) await gone.take({ charges: [], slot });
      await gone.close();
      expect((await limits.take({ charges: [], slot })).slot!.inUse).toBe(1);
    });

    test('nonsense is a programming error', async () => {
      const limits = await openNode();
      const charge = { policy: windowOf({ limit: 1, windowSeconds: 60 }), key: freshKey(), cost: 1 };
      const nonsense: Charge[][] = [
        [{ ...charge, cost: -1 }],
        [{ ...charge, cost: 0.5 }],
        [charge, charge],
        [{ ...charge, policy: windowOf({ limit: Number.NaN, windowSeconds: 60 }) }],
        [{ ...charge, policy: windowOf({ limit: 1, windowSeconds: 0 }) }],
        [{ ...charge, policy: bucketOf({ capacity: 1, refillPerSecond: 0 }) }],
        Array.from({ length: 9 }, (_, at) => ({ ...charge, key: String(at) })),
      ];
      for (const charges of nonsense) await expect(limits.take({ charges })).rejects.toThrow(RangeError);
    });

    test('any run of charges is decided as the model decides it at the same moments', async () => {
      const limits = await openNode();
      await fc.assert(
        fc.asyncProperty(arbitraryRun, async ({ policies, steps }) => {
          const key = freshKey();
          const models = policies.map(createModel);
          for (const { picks, pauseMs } of steps) {
            if (pauseMs > 0) await subject.passTime(pauseMs);
            const charges = picks.map(({ at, cost }) => ({ policy: policies[at]!, key, cost }));
            const decision = await limits.take({ charges });
            const fits = picks.map(({ at, cost }) => models[at]!.left(decision.atMs) >= Math.max(1, cost));
            expect(decision.charges.map((state) => state.fits)).toEqual(fits);
            expect(decision.allowed).toBe(fits.every((fit, at) => fit || charges[at]!.policy.mode === 'report'));
            picks.forEach(({ at, cost }, place) => {
              if (decision.allowed && fits[place]) models[at]!.use(decision.atMs, cost);
              expect(decision.charges[place]!.remaining).toBe(Math.floor(models[at]!.left(decision.atMs)));
            });
          }
        }),
        { numRuns: 40, endOnFailure: true },
      );
    });
  });
}

/** Also of nodes that share: run against implementations for many nodes. */
export function describeSharedLimits(name: string, open: () => Promise<SharedLimitsUnderTest>): void {
  describe(name, () => {
    test('nodes together admit exactly the limit', async () => {
      const subject = await open();
      const nodes = await Promise.all([subject.openNode(), subject.openNode(), subject.openNode()]);
      onTestFinished(async () => void (await Promise.all(nodes.map((node) => node.close()))));
      const policy = windowOf({ limit: 500, windowSeconds: 3600 });
      const charges = [{ policy, key: freshKey(), cost: 1 }];
      const decisions = await Promise.all(Array.from({ length: 900 }, (_, at) => nodes[at % 3]!.take({ charges })));
      expect(new Set(decisions.map(({ source }) => source))).toEqual(new Set(['redis']));
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(500);
    });

    test('nodes together hold no more slots than there are', async () => {
      const subject = await open();
      const [one, two] = await Promise.all([subject.openNode(), subject.openNode()]);
      onTestFinished(async () => void (await Promise.all([one.close(), two.close()])));
      const slot = { policy: slotsOf({ slotsMax: 20 }), key: freshKey() };
      const decisions = await Promise.all(
        Array.from({ length: 60 }, (_, at) => (at % 2 === 0 ? one : two).take({ charges: [], slot })),
      );
      const leases = decisions.flatMap(({ lease }) => lease ?? []);
      expect(leases).toHaveLength(20);
      for (const lease of leases) lease.release();
      await vi.waitFor(async () => expect((await one.peek({ charges: [], slot })).slot!.inUse).toBe(0));
    });

    test('the slots of a node that crashed are free within the lease TTL, and those of a living one stay', async () => {
      const subject = await open();
      const crashing = await subject.openCrashing();
      const [living, asking] = await Promise.all([subject.openNode(), subject.openNode()]);
      onTestFinished(async () => void (await Promise.all([living.close(), asking.close(), crashing.close()])));
      const slot = { policy: slotsOf({ slotsMax: 100 }), key: freshKey() };
      for (let held = 0; held < 90; held += 1) await crashing.limits.take({ charges: [], slot });
      for (let held = 0; held < 10; held += 1) await living.take({ charges: [], slot });
      expect((await asking.take({ charges: [], slot })).allowed).toBe(false);
      const crashedAtMs = (await asking.peek({ charges: [], slot })).atMs;
      crashing.crash();
      const free = await vi.waitUntil(
        async () => {
          const decision = await asking.peek({ charges: [], slot });
          return decision.slot!.inUse === 10 ? decision : undefined;
        },
        { timeout: 30_000, interval: 20 },
      );
      expect(free.atMs - crashedAtMs).toBeLessThan(2 * subject.leaseTtlMs);
    });
  });
}

export interface SharedLimitsUnderTest extends LimitsUnderTest {
  readonly leaseTtlMs: number;
  openCrashing(): Promise<CrashingNode>;
}

export interface CrashingNode {
  readonly limits: Limits;
  /** From now on it says nothing. */
  crash(): void;
  close(): Promise<void>;
}

export function freshKey(): string {
  return systemIds.uuid();
}

export function windowOf(policy: Partial<FixedWindow> & Pick<FixedWindow, 'limit' | 'windowSeconds'>): FixedWindow {
  return { algorithm: 'fixed-window', name: 'window', mode: 'enforce', ...policy };
}

export function bucketOf(
  policy: Partial<TokenBucket> & Pick<TokenBucket, 'capacity' | 'refillPerSecond'>,
): TokenBucket {
  return { algorithm: 'token-bucket', name: 'bucket', mode: 'enforce', ...policy };
}

export function slotsOf(policy: Partial<SlotPolicy> & Pick<SlotPolicy, 'slotsMax'>): SlotPolicy {
  return { name: 'slots', mode: 'enforce', ...policy };
}

/** The algorithms as one would explain them, second by second: nothing shared with quota.ts. */
export interface Model {
  left(atMs: number): number;
  use(atMs: number, units: number): void;
}

export function createModel(policy: RatePolicy): Model {
  if (policy.algorithm === 'fixed-window') {
    const windows = new Map<number, number>();
    const windowOfMs = (atMs: number) => Math.floor(atMs / (policy.windowSeconds * 1000));
    return {
      left: (atMs) => policy.limit - (windows.get(windowOfMs(atMs)) ?? 0),
      use: (atMs, units) => windows.set(windowOfMs(atMs), (windows.get(windowOfMs(atMs)) ?? 0) + units),
    };
  }
  // In thousandths, one second after the other.
  let thousandths = policy.capacity * 1000;
  let second: number | undefined;
  const refill = (atMs: number) => {
    second ??= Math.floor(atMs / 1000);
    for (; second < Math.floor(atMs / 1000) && thousandths < policy.capacity * 1000; second += 1) {
      thousandths = Math.min(policy.capacity * 1000, thousandths + Math.round(policy.refillPerSecond * 1000));
    }
    second = Math.floor(atMs / 1000);
    return thousandths / 1000;
  };
  return {
    left: refill,
    use(atMs, units) {
      refill(atMs);
      thousandths -= units * 1000;
    },
  };
}

const arbitraryMode = fc.constantFrom('enforce' as const, 'enforce' as const, 'report' as const);

export const arbitraryPolicy: fc.Arbitrary<RatePolicy> = fc.oneof(
  fc.record({
    algorithm: fc.constant('fixed-window' as const),
    name: fc.constant('a-window'),
    limit: fc.integer({ min: 0, max: 8 }),
    windowSeconds: fc.integer({ min: 1, max: 4 }),
    mode: arbitraryMode,
  }),
  fc.record({
    algorithm: fc.constant('token-bucket' as const),
    name: fc.constant('a-bucket'),
    capacity: fc.integer({ min: 0, max: 8 }),
    refillPerSecond: fc.constantFrom(0.25, 0.3, 1, 1.5, 3, 20),
    mode: arbitraryMode,
  }),
);

/** Two or three policies, and requests that charge some of them, mostly without a pause. */
const arbitraryRun = fc
  .array(arbitraryPolicy, { minLength: 2, maxLength: 3 })
  .map((policies) => policies.map((policy, at) => ({ ...policy, name: `${policy.name}-${at}` })))
  .chain((policies) =>
    fc.record({
      policies: fc.constant(policies),
      steps: fc.array(
        fc.record({
          pauseMs: fc.oneof(
            { weight: 30, arbitrary: fc.constant(0) },
            { weight: 1, arbitrary: fc.integer({ min: 1, max: 1_300 }) },
          ),
          picks: fc.uniqueArray(
            fc.record({ at: fc.nat({ max: policies.length - 1 }), cost: fc.integer({ min: 0, max: 3 }) }),
            {
              selector: ({ at }) => at,
              minLength: 1,
            },
          ),
        }),
        { maxLength: 30 },
      ),
    }),
  );
