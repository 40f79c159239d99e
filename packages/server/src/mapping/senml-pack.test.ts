import { join } from 'node:path';
import { metricsOf } from '@gladhand/contract/metrics.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadProducts } from '../products/products.ts';

const NOW = Date.UTC(2026, 10, 20, 12);
const PATH_VIN = '1UYVS2533P7204518';
const VINS = ['1UYVS2535R3118640', '1M8GDM9AXKP042788', '11111111111111111'];
const mapping = loadProducts(join(import.meta.dirname, '../../products')).find('senml')!.mapping;

type Entry = Record<string, unknown>;
const run = (payload: unknown) => mapping.run({ payload, vin: PATH_VIN, receivedAtMs: NOW });

const SIGNALS = ['temperature', 'humidity', 'odometer', 'cargo'] as const;
const METRICS = {
  temperature: 'environment.temperatureC',
  humidity: 'environment.humidityPct',
  odometer: 'odometer.odometerM',
  cargo: 'cargo.fillPct',
};
const UNITS = { temperature: 'Cel', humidity: '%RH', odometer: 'm', cargo: '%' };

/** The content of one entry, resolved by the test itself. */
interface Said {
  readonly vin: string;
  readonly at: number;
  readonly signal: keyof typeof METRICS;
  readonly value: number;
}

const seconds = (at: number) => NOW / 1000 - 3600 + at;

/** A valid pack of a few vehicles and times. Each value is a different number, so that the test can find it again. */
const packs = fc
  .array(
    fc.record({
      vehicle: fc.option(fc.nat({ max: VINS.length - 1 }), { nil: undefined, freq: 2 }),
      at: fc.option(fc.integer({ min: 0, max: 3000 }), { nil: undefined, freq: 2 }),
      late: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
      signal: fc.constantFrom(...SIGNALS),
    }),
    { minLength: 2, maxLength: 8 },
  )
  .map((made) => {
    const entries: Entry[] = [];
    const said: Said[] = [];
    let vin = VINS[0]!;
    let base = seconds(0);
    made.forEach(({ vehicle, at, late, signal }, index) => {
      const entry: Entry = { n: signal, u: UNITS[signal], v: index + 1 };
      if (index === 0 || vehicle !== undefined) entry['bn'] = `urn:vin:${(vin = VINS[vehicle ?? 0]!)}:`;
      if (index === 0 || at !== undefined) entry['bt'] = base = seconds(at ?? 0);
      if (late !== undefined) entry['t'] = -late;
      entries.push(entry);
      said.push({ vin, at: base - (late ?? 0), signal, value: index + 1 });
    });
    return { entries, said };
  });

/** Every value that was stored, with its vehicle and time. */
function stored(payload: unknown) {
  return run(payload).records.flatMap(({ assetRef, observedAtMs, signals }) =>
    metricsOf(signals).map(([metric, value]) => ({ assetRef, at: observedAtMs / 1000, metric, value })),
  );
}

const asStored = ({ vin, at, signal, value }: Said) => ({ assetRef: { vin }, at, metric: METRICS[signal], value });
const byValue = (one: { value: unknown }, other: { value: unknown }) => Number(one.value) - Number(other.value);

test('a pack is stored as RFC 8428 resolves it', () => {
  fc.assert(
    fc.property(packs, ({ entries, said }) => {
      expect(stored(entries).sort(byValue)).toEqual(said.map(asStored));
    }),
  );
});

test('a resolved pack (full names, absolute times) gives the same records as one with base fields', () => {
  fc.assert(
    fc.property(packs, ({ said }) => {
      const resolved = said.map(({ vin, at, signal, value }) => ({
        n: `URN:vin:${vin.toLowerCase()}:${signal}`,
        u: UNITS[signal],
        v: value,
        t: at,
      }));
      expect(stored(resolved).sort(byValue)).toEqual(said.map(asStored));
    }),
  );
});

describe('changing one entry never moves another entry to another vehicle or time', () => {
  const spoilt = fc.constantFrom<unknown>(null, '', 'text', 5.5, true, [], {}, [1], { a: 1 }, -1e300);
  const fields = fc.constantFrom(
    'bn',
    'bt',
    'bu',
    'bv',
    'bs',
    'bver',
    'n',
    'u',
    'v',
    'vs',
    'vb',
    'vd',
    's',
    't',
    'ut',
    'other',
  );

  /** Expects the values of all other entries to be stored for the right vehicle and time, or not at all. */
  function expectUnmoved(payload: readonly unknown[], said: readonly Said[], spoiltIndex: number): void {
    const right = said.map(asStored);
    for (const value of stored(payload)) {
      const index = Number(value.value) - 1;
      if (index === spoiltIndex || !Number.isInteger(index)) continue;
      expect(value).toEqual(right[index]);
    }
  }

  test('a field that is null, empty or of the wrong type', () => {
    fc.assert(
      fc.property(packs, fc.nat(), fields, spoilt, ({ entries, said }, place, field, value) => {
        const index = place % entries.length;
        // Another valid base field changes the meaning of the entries after it, so it is not a damage.
        const isRight =
          (field === 'bt' && typeof value === 'number') || (['bv', 'bs'].includes(field) && typeof value === 'number');
        const isOtherName = (field === 'bn' || field === 'bu') && value === 'text';
        fc.pre(!isRight && !isOtherName);
        const payload = entries.map((entry, at) => (at === index ? { ...entry, [field]: value } : entry));
        expectUnmoved(payload, said, index);
        const { leaves } = run(payload);
        expect(leaves.taken + leaves.skipped + leaves.leftOut + leaves.rejected + leaves.unused).toBe(
          countLeaves(payload),
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('a missing field; not a base field, which RFC 8428 then takes from an earlier entry', () => {
    fc.assert(
      fc.property(packs, fc.nat(), fc.constantFrom('n', 'u', 'v', 't'), ({ entries, said }, place, field) => {
        const index = place % entries.length;
        const payload = entries.map((entry, at) => {
          const { [field]: _gone, ...rest } = entry;
          return at === index ? rest : entry;
        });
        expectUnmoved(payload, said, index);
      }),
    );
  });

  test('an entry that is not a SenML record', () => {
    fc.assert(
      fc.property(packs, fc.nat(), spoilt, ({ entries, said }, place, value) => {
        const index = place % entries.length;
        expectUnmoved(
          entries.map((entry, at) => (at === index ? value : entry)),
          said,
          index,
        );
      }),
    );
  });
});

test("a vehicle's name with a wrong VIN is rejected, and never stored for the vehicle of the request path", () => {
  const names = fc.oneof(
    fc.constantFrom(
      '',
      PATH_VIN.slice(2),
      `${PATH_VIN}0`,
      `${PATH_VIN.slice(0, 16)}O`,
      'null',
      '-',
      ':',
      '::',
      '/',
      PATH_VIN.slice(0, 16),
    ),
    fc.string({ maxLength: 20 }).filter((text) => !/^\s*[A-HJ-NPR-Z0-9]{17}\s*([:/]|$)/i.test(text)),
  );
  const prefixes = fc.constantFrom('urn:vin:', 'URN:VIN:', 'Urn:vin:', ' urn:vin:', 'vin:', 'urn:vin', 'urn:vin/');
  fc.assert(
    fc.property(prefixes, names, fc.constantFrom('', ':'), (prefix, name, end) => {
      const outcome = run([{ bn: `${prefix}${name}${end}`, bt: seconds(0), n: 'temperature', u: 'Cel', v: 5 }]);
      expect(outcome.records).toEqual([]);
      expect(outcome.rejectsTotal).toBeGreaterThan(0);
    }),
  );
});

test.each([
  [`urn:vin:${VINS[0]}:`, 'temperature'],
  [`urn:VIN:${VINS[0]!.toLowerCase()}:`, 'temperature'],
  [`urn:vin:${VINS[0]}`, 'temperature'],
  [`urn:vin:${VINS[0]}`, ':temperature'],
  [`urn:vin:${VINS[0]}:temp`, 'erature'],
  [`urn:vin:`, `${VINS[0]}:temperature`],
])('however a name is split between %s and %s, it is the same value', (bn, n) => {
  expect(stored([{ bn, bt: seconds(0), n, u: 'Cel', v: 5 }])).toEqual([
    { assetRef: { vin: VINS[0] }, at: seconds(0), metric: METRICS.temperature, value: 5 },
  ]);
});

test('after an unreadable base field, entries that need it are rejected until the next readable one', () => {
  const outcome = stored([
    { bn: `urn:vin:${VINS[0]}:`, bt: seconds(0), n: 'temperature', u: 'Cel', v: 1 },
    { bn: null, n: 'humidity', u: '%RH', v: 2 },
    { n: 'odometer', u: 'm', v: 3 },
    { bn: `urn:vin:${VINS[1]}:`, n: 'cargo', u: '%', v: 4 },
  ]);
  expect(outcome.map(({ value }) => value)).toEqual([1, 4]);
});

test('a value of the wrong type is rejected and reported, and the values around it are stored', () => {
  const outcome = run([
    { bn: `urn:vin:${VINS[0]}:`, bt: seconds(0), n: 'humidity', u: '%RH', v: 60 },
    { n: 'moving', v: 1 },
    { n: 'temperature', u: 'Cel', vs: '4.0' },
    { n: 'tire/20/pressure', u: 'Pa', v: 690000 },
  ]);
  expect(outcome.records).toMatchObject([{ signals: { environment: { humidityPct: 60 } } }]);
  expect(outcome.records[0]?.states).toEqual({ 'motion.moving': 'misfit', 'environment.temperatureC': 'misfit' });
  expect(outcome.rejects.map(({ refused, code }) => [refused, code])).toEqual([
    ['value', 'wrong-type'],
    ['value', 'wrong-type'],
  ]);
  expect(outcome.leaves.unusedPaths).toEqual(['/tire~120~1pressure']);
});

test('an entry without a value has the base value, and an entry with base fields only has no value', () => {
  const base = { bn: `urn:vin:${VINS[0]}:`, bt: seconds(0), bv: 20, bu: 'Cel' };
  expect(stored([base, { n: 'temperature' }]).map(({ value }) => value)).toEqual([20]);
  expect(stored([base, { n: 'temperature', v: 1.5 }]).map(({ value }) => value)).toEqual([21.5]);
  expect(run([base]).rejects).toMatchObject([{ code: 'nothing-taken' }]);
});

test('a unit in the payload is converted or rejected, also for a position', () => {
  const position = (u: string | undefined, lat: number, lon: number) =>
    run([
      { bn: `urn:vin:${VINS[0]}:`, bt: seconds(0), n: 'lat', v: lat, ...(u !== undefined && { u }) },
      { n: 'lon', v: lon, ...(u !== undefined && { u }) },
    ]);
  expect(position('lat', 39.7, -86.1).records[0]?.signals.gps).toEqual({ latitude: 39.7, longitude: -86.1 });
  expect(position(undefined, 39.7, -86.1).records[0]?.signals.gps).toEqual({ latitude: 39.7, longitude: -86.1 });
  expect(position('rad', 0.694, -1.503).records[0]?.signals.gps?.latitude).toBeCloseTo(39.7633, 3);
  expect(position('m', 39.7, -86.1)).toMatchObject({
    records: [],
    rejects: [{ refused: 'record', code: 'unit-unknown' }],
  });
});

function countLeaves(value: unknown): number {
  const inner = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return inner.length === 0 ? 1 : inner.reduce((sum: number, entry) => sum + countLeaves(entry), 0);
}
