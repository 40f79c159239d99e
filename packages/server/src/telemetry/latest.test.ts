import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LatestMetrics, mergeLatest } from './latest.ts';

const AT = Date.UTC(2026, 10, 20, 12);
const iso = (seconds: number) => new Date(AT + seconds * 1000).toISOString();
const stamp = (observed: number, received: number, recordId = 'r', deviceId: string | null = null) => ({
  observedAt: iso(observed),
  receivedAt: iso(received),
  recordId,
  deviceId,
});

interface Reading {
  readonly observed: number;
  readonly received: number;
  readonly value: number;
}

/** Readings in the order of their arrival. */
const readings = fc
  .array(
    fc.record({ observed: fc.integer({ min: 0, max: 40 }), wait: fc.nat({ max: 3 }), value: fc.nat({ max: 9 }) }),
    {
      minLength: 1,
      maxLength: 30,
    },
  )
  .map((made) => {
    let received = 10;
    return made.map(({ observed, wait, value }): Reading => ({ observed, received: (received += wait), value }));
  });

const merged = (all: readonly Reading[]) => {
  const metrics: LatestMetrics = {};
  for (const { observed, received, value } of all)
    mergeLatest(metrics, stamp(observed, received), [['gps.hdop', value]]);
  return metrics['gps.hdop'];
};

test('the latest value is the one that was true last, by a clock that never runs ahead of ours; of ties the last in order', () => {
  fc.assert(
    fc.property(readings, (all) => {
      const trueAt = ({ observed, received }: Reading) => Math.min(observed, received);
      const best = all.reduce((one, other) => (trueAt(other) >= trueAt(one) ? other : one));
      expect(merged(all)).toMatchObject({ value: best.value, observedAt: iso(best.observed) });
    }),
  );
});

test('a reading dated ahead gives way to the next one, and keeps its date as it was sent', () => {
  const ahead = { observed: 900, received: 0, value: 1 };
  expect(merged([ahead])).toMatchObject({ value: 1, observedAt: iso(900) });
  expect(merged([ahead, { observed: 60, received: 60, value: 2 }])).toMatchObject({ value: 2, observedAt: iso(60) });
});

test('a late reading does not bring its value back, however it is sent', () => {
  const now = { observed: 50, received: 51, value: 2 };
  expect(merged([now, { observed: 20, received: 90, value: 1 }])).toMatchObject({ value: 2 });
});

const alarms = (...codes: string[]): Array<[string, unknown]> => [
  ['reefer.alarms', codes.length],
  ...codes.map((code): [string, unknown] => [`reefer.alarms[${code}]`, true]),
];
const up = (metrics: LatestMetrics) =>
  Object.keys(metrics)
    .filter((metric) => metric.includes('['))
    .sort();

test('an alarm that the device does not state any more is up no more, and an empty list says that none is', () => {
  const metrics: LatestMetrics = {};
  mergeLatest(metrics, stamp(1, 1), [...alarms('63', '7'), ['reefer.alarms[63].severity', 'immediate']]);
  expect(up(metrics)).toEqual(['reefer.alarms[63]', 'reefer.alarms[63].severity', 'reefer.alarms[7]']);
  mergeLatest(metrics, stamp(2, 2), alarms('7'));
  expect(up(metrics)).toEqual(['reefer.alarms[7]']);
  mergeLatest(metrics, stamp(3, 3), alarms());
  expect(up(metrics)).toEqual([]);
  expect(metrics['reefer.alarms']).toMatchObject({ value: 0, observedAt: iso(3) });
});

test('a late statement takes nothing down and puts nothing up', () => {
  const metrics: LatestMetrics = {};
  mergeLatest(metrics, stamp(10, 10), alarms('7'));
  expect(mergeLatest(metrics, stamp(5, 11), alarms('63'))).toBe(false);
  expect(mergeLatest(metrics, stamp(5, 12), alarms())).toBe(false);
  expect(up(metrics)).toEqual(['reefer.alarms[7]']);
});

test('what one device states takes down nothing of another', () => {
  const metrics: LatestMetrics = {};
  mergeLatest(metrics, stamp(1, 1, 'r', 'one'), alarms('63'));
  mergeLatest(metrics, stamp(2, 2, 'r', 'two'), alarms());
  expect(up(metrics)).toEqual(['reefer.alarms[63]']);
});

test('a record without the list says nothing of it', () => {
  const metrics: LatestMetrics = {};
  mergeLatest(metrics, stamp(1, 1), alarms('63'));
  mergeLatest(metrics, stamp(2, 2), [['reefer.fuelPct', 50]]);
  expect(up(metrics)).toEqual(['reefer.alarms[63]']);
});
