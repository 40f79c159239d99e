import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Asked,
  bucketBudget,
  checkAdmitted,
  countPerWindow,
  windowBudget,
} from '../src/prove/limits/check-admitted.ts';
import { comparePaired, percentile } from '../src/prove/limits/paired-rounds.ts';

/** Requests that were decided in the middle of a second, `width` ms from first byte to last. */
function askedIn(second: number, count: number, width = 20): Asked[] {
  return Array.from({ length: count }, () => ({
    sentMs: second * 1000 + 500 - width / 2,
    answeredMs: second * 1000 + 500 + width / 2,
  }));
}
const refusedIn = (...seconds: number[]) => seconds.flatMap((second) => askedIn(second, 1));

describe('the check of what a window admitted', () => {
  const budget = windowBudget(10, 2);

  test('is content with exactly the limit in every window', () => {
    const admitted = [...askedIn(100, 10), ...askedIn(103, 4), ...askedIn(102, 6)];
    expect(checkAdmitted(admitted, refusedIn(101, 103), budget)).toEqual({
      admitted: 20,
      admissible: 20,
      steps: 2,
      over: 0,
      shortPercent: 0,
      stepsWithoutRefusal: 0,
    });
  });

  test('finds one admission too many, in any one window', () => {
    for (const second of [100, 101, 102, 103]) {
      const admitted = [...askedIn(100, 10), ...askedIn(102, 10), ...askedIn(second, 1)];
      expect(checkAdmitted(admitted, refusedIn(100, 102), budget).over).toBe(1);
    }
  });

  test('finds one too many over several windows, though every one alone could be explained', () => {
    // Three that span the boundary can go to either side, but there is room for two.
    const spanning = Array.from({ length: 3 }, () => ({ sentMs: 101_950, answeredMs: 102_050 }));
    const admitted = [...askedIn(100, 9), ...spanning, ...askedIn(102, 9)];
    expect(checkAdmitted(admitted, [], budget).over).toBe(1);
    expect(checkAdmitted(admitted.slice(1), [], budget).over).toBe(0);
  });

  test('finds what is lacking, and says by how much', () => {
    const admitted = [...askedIn(100, 10), ...askedIn(102, 8)];
    expect(checkAdmitted(admitted, refusedIn(100, 102), budget).shortPercent).toBeCloseTo(20);
  });

  test('says where nobody was refused, because a demand below the limit proves nothing', () => {
    expect(checkAdmitted(askedIn(100, 10), refusedIn(104), budget).stepsWithoutRefusal).toBe(2);
  });

  test('an answer that came after the last window of demand neither lacks there nor is too many', () => {
    const late = { sentMs: 101_900, answeredMs: 102_400 };
    const checked = checkAdmitted([...askedIn(100, 10), late], refusedIn(100), budget);
    expect(checked).toMatchObject({ admissible: 10, steps: 1, over: 0, shortPercent: 0, stepsWithoutRefusal: 0 });
  });

  test('never accuses a limit that was kept, however long answers took', () => {
    const request = fc.record({
      step: fc.nat(4),
      at: fc.integer({ min: 0, max: 1_999 }),
      before: fc.nat(900),
      after: fc.nat(900),
    });
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 80 }), (requests) => {
        const used = new Map<number, number>();
        const admitted: Asked[] = [];
        for (const { step, at, before, after } of requests) {
          const inUse = used.get(step) ?? 0;
          if (inUse >= 10) continue;
          used.set(step, inUse + 1);
          const decidedMs = (50 + step) * 2_000 + at;
          admitted.push({ sentMs: decidedMs - before, answeredMs: decidedMs + after });
        }
        expect(checkAdmitted(admitted, [], budget).over).toBe(0);
      }),
    );
  });
});

describe('the check of what a bucket admitted', () => {
  const budget = bucketBudget(20, 5);

  test('is content with the capacity at first and the refill of each further second', () => {
    const admitted = [...askedIn(7, 20), ...askedIn(8, 5), ...askedIn(9, 5)];
    const checked = checkAdmitted(admitted, refusedIn(7, 8, 9), budget);
    expect(checked).toMatchObject({ admissible: 30, over: 0, shortPercent: 0, stepsWithoutRefusal: 0 });
  });

  test('finds one admission beyond capacity and refill', () => {
    const admitted = [...askedIn(7, 20), ...askedIn(8, 6)];
    expect(checkAdmitted(admitted, refusedIn(7, 8), budget).over).toBe(1);
  });

  test('finds a capacity that was given twice', () => {
    const admitted = [...askedIn(7, 20), ...askedIn(9, 20)];
    expect(checkAdmitted(admitted, refusedIn(7, 9), budget).over).toBe(10);
  });

  test('finds a second that brought nothing', () => {
    const admitted = [...askedIn(7, 20), ...askedIn(9, 5)];
    expect(checkAdmitted(admitted, refusedIn(7, 8, 9), budget).shortPercent).toBe(100);
  });
});

test('windows are counted whole, with what they admitted surely and at the most', () => {
  const spanning = { sentMs: 11_990, answeredMs: 12_010 };
  const counted = countPerWindow([...askedIn(10, 3), spanning, ...askedIn(13, 2)], 2, 9_000, 15_000);
  expect(counted).toEqual([
    { fromMs: 10_000, certain: 3, possible: 4 },
    { fromMs: 12_000, certain: 2, possible: 3 },
  ]);
});

describe('the comparison of latencies with and without a neighbour', () => {
  const latencies = (ms: number) => Array.from({ length: 100 }, (_, place) => ms * (1 + place / 100));

  test('a percentile is a value that was measured', () => {
    expect(percentile([3, 1, 2], 0.99)).toBe(3);
    expect(percentile([3, 1, 2], 0.5)).toBe(2);
    expect(percentile(latencies(1), 0.99)).toBeCloseTo(1.98);
    expect(percentile([], 0.99)).toBeNaN();
  });

  test('a neighbour that does nothing moves nothing, even while the machine drifts', () => {
    const rounds = [1, 2, 4].map((ms) => ({ without: latencies(ms), with: latencies(ms) }));
    const paired = comparePaired(rounds);
    expect(paired.movedPercent).toBeCloseTo(0);
    expect(paired.noisePercent).toBeCloseTo(100);
  });

  test('a neighbour that costs a quarter is found, whatever one odd round says', () => {
    const rounds = [1, 1, 1, 1, 1].map((ms) => ({ without: latencies(ms), with: latencies(ms * 1.25) }));
    rounds[2] = { without: latencies(1), with: latencies(50) };
    expect(comparePaired(rounds).movedPercent).toBeCloseTo(25);
  });
});
