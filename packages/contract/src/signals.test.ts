import { expect, test } from 'vitest';
import { elementKey, metricsOf } from './metrics.ts';
import { findSignalTarget, type ListTarget, SIGNAL_TARGETS, signalPaths } from './signal-target.ts';
import { SIGNAL_GROUPS, signalBits } from './signals.ts';
import { normalizeVin, vinCheckDigit } from './vin.ts';

test('the bit of a signal group never changes: stored records depend on it', () => {
  expect(SIGNAL_GROUPS.join(' ')).toBe(
    'gps odometer motion power batteries tires abs lights doors cargo axles grossWeightKg brakes reefer liftgate coupling ' +
      'faults environment backup cameras flow storage registers quality',
  );
  expect(SIGNAL_GROUPS.length).toBeLessThanOrEqual(30);
  expect([...SIGNAL_TARGETS.keys()].sort()).toEqual([...SIGNAL_GROUPS].sort());
  expect(signalBits({ gps: {}, motion: {} })).toBe(0b101);
  expect(signalBits({ gps: { latitude: 1, longitude: 2 } })).toBe(1 + 2 ** 30);
});

test('every path of the canonical model is described, and a name that ends in a unit has that unit', () => {
  const units: Record<string, string> = {
    Kph: 'km/h',
    Kpa: 'kPa',
    Deg: 'deg',
    Kg: 'kg',
    Kwh: 'kW.h',
    Kw: 'kW',
    Pct: '%',
    PaS: 'Pa/s',
  };
  for (const path of signalPaths()) {
    const target = findSignalTarget(path);
    expect(target?.description, path).toMatch(/\S/);
    const suffix = /(Kph|Kpa|Deg|Kg|Kwh|Kw|Pct|PaS|(?<=[a-z])[CVAM])$/.exec(path)?.[0];
    if (target?.kind !== 'leaf' || suffix === undefined) continue;
    const single: Record<string, string> = { C: 'Cel', V: 'V', A: 'A', M: 'm' };
    expect(target.unit, path).toBe(units[suffix] ?? single[suffix]);
  }
});

test('metrics name list elements by identity, keep null, leave identity itself out, and count what is up', () => {
  const metrics = metricsOf({
    gps: { latitude: 1, speedKph: null },
    grossWeightKg: 4,
    tires: [{ axle: 1, side: 'left', dual: 'outer', pressureKpa: 700 }],
    reefer: { zones: [{ zone: 2, setpointC: -18 }] },
    faults: [{ protocol: 'j1939', sa: 11, spn: 629, fmi: 12, lamps: { amber: true } }],
  });
  expect(metrics).toEqual([
    ['gps.latitude', 1],
    ['gps.speedKph', null],
    ['grossWeightKg', 4],
    ['tires[1.left.outer].pressureKpa', 700],
    ['reefer.zones[2].setpointC', -18],
    ['faults', 1],
    ['faults[j1939.sa11.spn629.fmi12]', true],
    ['faults[j1939.sa11.spn629.fmi12].lamps.amber', true],
  ]);
  expect(metricsOf({ faults: [], reefer: { alarms: [] } })).toEqual([
    ['faults', 0],
    ['reefer.alarms', 0],
  ]);
});

test('two elements that differ never share a name, whatever text a partner uses as a code', () => {
  const faults = findSignalTarget('faults') as ListTarget;
  const keys = ['a.b', 'a]b', 'a%2Eb', 'a b', 'ä'].map((code) => elementKey(faults, { protocol: 'vendor', code }));
  expect(new Set(keys).size).toBe(keys.length);
  for (const key of keys) expect(key).toMatch(/^vendor\.code[\w%-]+$/);
});

test.each([
  ['1M8GDM9AXKP042788', 'pass'],
  ['11111111111111111', 'pass'],
  [' 1uyvs2533p7204518 ', 'pass'],
  ['1M8GDM9A1KP042788', 'fail'],
] as const)('%s is a VIN whose check digit (49 CFR 565.15) says %s', (text, check) => {
  expect(normalizeVin(text)).toEqual({ ok: true, vin: text.trim().toUpperCase(), check });
});

test.each([
  ['1M8GDM9AXKP04278', 'length'],
  ['1M8GDM9AXKP0427888', 'length'],
  ['', 'length'],
  ['1M8GDM9AXKP04278O', 'letters'],
  ['IM8GDM9AXKP042788', 'letters'],
  ['1M8GDM9AXKP0427Q8', 'letters'],
  ['1M8GDM9AXKP0427-8', 'letters'],
])('%s is no VIN: %s', (text, reason) => {
  expect(normalizeVin(text)).toMatchObject({ ok: false, reason });
});

test('a remainder of ten is written X', () => {
  expect(vinCheckDigit('1M8GDM9A0KP042788')).toBe('X');
});
