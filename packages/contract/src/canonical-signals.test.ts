import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalSignals } from './canonical-signals.ts';
import { metricsOf } from './metrics.ts';
import type { Signals } from './signals.ts';

const SIGNALS = {
  gps: { latitude: 39.7, longitude: -86.1, speedKph: 93 },
  tires: [
    { axle: 1, side: 'left', dual: 'outer', pressureKpa: 800, temperatureC: 31 },
    { axle: 1, side: 'right', dual: 'inner', pressureKpa: 790 },
    { axle: 2, side: 'left', dual: 'outer', pressureKpa: 810 },
  ],
  reefer: { fuelPct: 50, alarms: [{ code: '63', severity: 'check' }, { code: '7' }] },
  batteries: [
    { role: 'gateway', voltageV: 4.1 },
    { role: 'reefer', voltageV: 12.6 },
  ],
  doors: [{ id: 'rear', state: 'closed' }],
} as const satisfies Signals;

/** The same value with the members of objects and the elements of lists in another order. */
function shuffled(value: unknown, random: () => number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const places = Object.entries(value).map(([name, member]) => ({ name, member, at: random() }));
  places.sort((one, other) => one.at - other.at);
  const members = places.map(({ name, member }) => [name, shuffled(member, random)] as const);
  return Array.isArray(value) ? members.map(([, member]) => member) : Object.fromEntries(members);
}

test('signals written in any order have one form, and it says the same', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (numbers) => {
      const other = shuffled(SIGNALS, () => numbers.next().value) as Signals;
      const text = JSON.stringify(canonicalSignals(other));
      expect(text).toBe(JSON.stringify(canonicalSignals(SIGNALS)));
      expect(Object.fromEntries(metricsOf(JSON.parse(text)))).toEqual(Object.fromEntries(metricsOf(other)));
    }),
  );
});
