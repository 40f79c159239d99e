import { findSignalTarget, signalPaths } from '@gladhand/contract/signal-target.ts';
import { expect, test } from 'vitest';
import { findConversion } from './unit.ts';

const convert = (value: number, from: string, to: string): number => {
  const found = findConversion(from, to);
  if (!found.ok) throw new Error(found.detail);
  return found.convert === undefined ? value : found.convert(value);
};

test.each([
  [50, 'kn', 'km/h', 92.6],
  [50, '[kn_i]', 'km/h', 92.6],
  [60, 'mi/h', 'km/h', 96.56064],
  [60, '[mi_i]/h', 'km/h', 96.56064],
  [25, 'm/s', 'km/h', 90],
  [-17350, 'mCel', 'Cel', -17.35],
  [306.15, 'K', 'Cel', 33],
  [32, '[degF]', 'Cel', 0],
  [-40, 'degF', 'Cel', -40],
  [2367, 'cV', 'V', 23.67],
  [3610, 'mV', 'V', 3.61],
  [100, '[psi]', 'kPa', 689.475729317],
  [689476, 'Pa', 'kPa', 689.476],
  [7, 'bar', 'kPa', 700],
  [184203.41, 'km', 'm', 184203410],
  [1, 'mi', 'm', 1609.344],
  [0.63, '/', '%', 63],
  [0.63, '1', '%', 63],
  [15184620, 's', 'h', 4217.95],
  [1, 'kWh', 'kW.h', 1],
  [Math.PI, 'rad', 'deg', 180],
])('%s %s in %s is %s, without the noise of binary fractions', (value, from, to, expected) => {
  expect(convert(value, from, to)).toBeCloseTo(expected, 6);
  expect(String(convert(value, from, to)).length).toBeLessThanOrEqual(14);
});

test.each([
  ['kPa', 'km/h', 'unit-dimension'],
  ['C', 'Cel', 'unit-dimension'],
  ['%', 'deg', 'unit-dimension'],
  ['metres', 'm', 'unit-unknown'],
  ['kn_i', 'km/h', 'unit-unknown'],
  ['', 'm', 'unit-unknown'],
])('%s for %s is refused as %s', (from, to, code) => {
  expect(findConversion(from, to)).toMatchObject({ ok: false, code });
});

test('an error about a wrong spelling suggests the right unit', () => {
  expect(findConversion('kn_i', 'km/h')).toMatchObject({ detail: expect.stringContaining('[kn_i]') });
});

test('every unit of the canonical model is UCUM', () => {
  for (const path of signalPaths()) {
    const target = findSignalTarget(path);
    if (target?.kind !== 'leaf' || target.unit === undefined) continue;
    expect(findConversion(`10*3.${target.unit}`, target.unit), path).toMatchObject({ ok: true });
  }
});
