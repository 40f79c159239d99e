import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadProducts } from '../products/products.ts';
import { compileMapping } from './compile.ts';
import { MAPPING_LIMITS, type ProductRules } from './document.ts';

const VIN = '1UYVS2533P7204518';
const OTHER_VIN = '1UYVS2535R3118640';
const NOW = Date.UTC(2026, 10, 20, 12);
const rules: ProductRules = { vinCheck: 'mark', clockSkew: { pastSecondsMax: 86400, futureSecondsMax: 60 } };

const compiled = (spec: Record<string, unknown>, product = rules) => {
  const document = {
    format: 'gladhand.mapping/v1',
    records: [{ each: 'payload', observedAt: { value: 'item.ts', format: 'epoch-ms' }, ...spec }],
  };
  const result = compileMapping(document, { product });
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.mapping;
};
const run = (spec: Record<string, unknown>, payload: unknown, product = rules) =>
  compiled(spec, product).run({ payload, vin: VIN, receivedAtMs: NOW });
/** A position on one meridian, so that one number of the payload decides. */
const latitude = { signals: { 'gps.latitude': 'item.lat', 'gps.longitude': '5.0' } };

describe('one record that does not fit leaves its siblings alone', () => {
  test.each<[string, Record<string, unknown>, string, string]>([
    ['wrong type', { ts: NOW, lat: '1' }, 'wrong-type', '/records/0/signals/gps.latitude'],
    ['out of bounds', { ts: NOW, lat: 91 }, 'out-of-bounds', '/records/0/signals/gps.latitude'],
    ['no instant', { lat: 1 }, 'observed-at-missing', '/records/0/observedAt'],
    ['null instant', { ts: null, lat: 1 }, 'observed-at-missing', '/records/0/observedAt'],
    ['instant of the wrong type', { ts: 'now', lat: 1 }, 'wrong-type', '/records/0/observedAt'],
    ['instant too old', { ts: NOW - 86_401_000, lat: 1 }, 'observed-at-out-of-range', '/records/0/observedAt'],
    ['instant in the future', { ts: NOW + 61_000, lat: 1 }, 'observed-at-out-of-range', '/records/0/observedAt'],
  ])('%s', (_what, bad, code, pointer) => {
    const outcome = run(latitude, [{ ts: NOW, lat: 1 }, bad, { ts: NOW, lat: 3 }]);
    expect(outcome.records.map((record) => record.signals.gps?.latitude)).toEqual([1, 3]);
    expect(outcome.rejects).toMatchObject([{ record: 1, code, pointer, element: '/1' }]);
  });

  test('an element that is no object', () => {
    const outcome = run(latitude, [5, { ts: NOW, lat: 1 }]);
    expect(outcome.records).toHaveLength(1);
    expect(outcome.rejects).toMatchObject([{ code: 'wrong-type', found: 'number 5' }]);
  });

  test('an element without a known signal: the reject names its keys', () => {
    const outcome = run({ signals: { 'gps.hdop': 'item.h' } }, [
      { ts: NOW, h: 1 },
      { ts: NOW, hdop: 1 },
      { ts: NOW, h: 3 },
    ]);
    expect(outcome.records.map((record) => record.signals.gps?.hdop)).toEqual([1, 3]);
    expect(outcome.rejects).toMatchObject([
      { refused: 'record', record: 1, code: 'no-signals', found: 'keys ts, hdop', element: '/1' },
    ]);
  });
});

test('a reject names the line, the element, the expression, what was found and what was expected', () => {
  const spec = {
    each: 'payload.data',
    signals: { 'gps.speedKph': { value: 'item.s', unit: 'm/s' }, 'motion.moving': 'item.m' },
  };
  const { rejects, records } = run(spec, { data: [{ ts: NOW, s: 'fast', m: true }] });
  expect(records).toMatchObject([{ signals: { motion: { moving: true } }, states: { 'gps.speedKph': 'misfit' } }]);
  expect(rejects).toEqual([
    {
      refused: 'value',
      record: 0,
      code: 'wrong-type',
      pointer: '/records/0/signals/gps.speedKph',
      element: '/data/0',
      expression: 'item.s',
      found: 'string "fast"',
      detail: 'expected a number',
    },
  ]);
});

test('the edges of the clock skew are inside', () => {
  const { records, rejects } = run(latitude, [
    { ts: NOW - 86_400_000, lat: 1 },
    { ts: NOW + 60_000, lat: 2 },
  ]);
  expect(rejects).toEqual([]);
  expect(records).toHaveLength(2);
});

test('missing and null inputs leave a signal out and nothing else', () => {
  const spec = { signals: { 'gps.altitudeM': 'item.lat', 'gps.hdop': 'item.q.hdop * 2', 'motion.moving': 'item.m' } };
  const { records } = run(spec, [
    { ts: NOW, lat: 1 },
    { ts: NOW, lat: 2, q: null, m: null },
    { ts: NOW, q: { hdop: 1 } },
  ]);
  expect(records.map((record) => record.signals)).toEqual([
    { gps: { altitudeM: 1 } },
    { gps: { altitudeM: 2 } },
    { gps: { hdop: 2 } },
  ]);
});

test('not available and error become null with a state, also in elements, named by their identity', () => {
  const spec = {
    signals: {
      'power.externalV': { value: 'item.v', unit: 'mV', notAvailable: [65535, 'NA'], error: [65534] },
      tires: {
        each: 'item.t',
        as: 'tire',
        axle: 'tire.a',
        side: 'tire.s',
        pressureKpa: { value: 'tire.p', notAvailable: [null] },
      },
    },
  };
  const { records } = run(spec, [
    {
      ts: NOW,
      v: 65535,
      t: [
        { a: 1, s: 'left', p: null },
        { a: 1, s: 'right', p: 700 },
        { a: 2, s: 'left' },
      ],
    },
    { ts: NOW, v: 65534 },
    { ts: NOW, v: 12000 },
  ]);
  expect(records[0]?.signals).toEqual({
    power: { externalV: null },
    tires: [
      { axle: 1, side: 'left', dual: 'single', pressureKpa: null },
      { axle: 1, side: 'right', dual: 'single', pressureKpa: 700 },
    ],
  });
  expect(records[0]?.states).toEqual({
    'power.externalV': 'notAvailable',
    'tires[1.left.single].pressureKpa': 'notAvailable',
  });
  expect(records[1]?.states).toEqual({ 'power.externalV': 'error' });
  expect(records[2]).not.toHaveProperty('states');
});

test('a value that is not in the table is left out and marked, unless the line has `otherwise`', () => {
  const values = { 0: 'off', 1: 'on', 9: null };
  const strict = run({ signals: { 'motion.ignition': { value: 'item.i', values }, 'gps.hdop': 'item.h' } }, [
    { ts: NOW, i: 1 },
    { ts: NOW, i: 7, h: 2 },
    { ts: NOW, i: 9, h: 1 },
    { ts: NOW, i: {}, h: 3 },
    { ts: NOW, i: 7 },
  ]);
  expect(strict.records.map(({ signals, states }) => [signals, states])).toEqual([
    [{ motion: { ignition: 'on' } }, undefined],
    [{ gps: { hdop: 2 } }, { 'motion.ignition': 'misfit' }],
    [{ gps: { hdop: 1 } }, undefined],
    [{ gps: { hdop: 3 } }, { 'motion.ignition': 'misfit' }],
  ]);
  expect(strict.rejects.map(({ refused, code, record }) => [record, refused, code])).toEqual([
    [1, 'value', 'value-not-in-table'],
    [3, 'value', 'wrong-type'],
    [4, 'value', 'value-not-in-table'],
    [4, 'record', 'no-signals'],
  ]);
  const lenient = run({ signals: { 'motion.ignition': { value: 'item.i', values, otherwise: 'unknown' } } }, [
    { ts: NOW, i: 7 },
  ]);
  expect(lenient.records[0]?.signals).toEqual({ motion: { ignition: 'unknown' } });
});

test('a heading of 360 is north, and more than that is out of bounds', () => {
  const { records, rejects } = run({ signals: { 'gps.headingDeg': 'item.h', 'gps.hdop': 'item.q' } }, [
    { ts: NOW, h: 360 },
    { ts: NOW, h: 359.9 },
    { ts: NOW, h: 361, q: 1 },
  ]);
  expect(records.map((record) => record.signals.gps)).toEqual([{ headingDeg: 0 }, { headingDeg: 359.9 }, { hdop: 1 }]);
  expect(records[2]?.states).toEqual({ 'gps.headingDeg': 'implausible' });
  expect(rejects).toMatchObject([{ refused: 'value', code: 'out-of-bounds' }]);
});

test('an asset expression names the VIN, normalised; without one the VIN of the path counts', () => {
  const spec = { ...latitude, asset: 'item.vin' };
  const outcome = run(spec, [
    { ts: NOW, lat: 1, vin: OTHER_VIN.toLowerCase() },
    { ts: NOW, lat: 1 },
    { ts: NOW, lat: 1, vin: '1UYVS2533P720451' },
    { ts: NOW, lat: 1, vin: '1UYVS2533P720451O' },
    { ts: NOW, lat: 1, vin: 7 },
    { ts: NOW, lat: 1, vin: '1UYVS2535R3118641' },
  ]);
  expect(outcome.records.map((record) => record.assetRef)).toEqual([{ vin: OTHER_VIN }, { vin: '1UYVS2535R3118641' }]);
  expect(outcome.rejects.map((reject) => reject.code)).toEqual([
    'asset-missing',
    'vin-invalid',
    'vin-invalid',
    'wrong-type',
  ]);
  expect(run(latitude, [{ ts: NOW, lat: 1 }]).records[0]?.assetRef).toEqual({ vin: VIN });
});

test('a product may choose to refuse a VIN whose check digit fails', () => {
  const payload = [{ ts: NOW, lat: 1, vin: '1UYVS2535R3118641' }];
  const outcome = run({ ...latitude, asset: 'item.vin' }, payload, { ...rules, vinCheck: 'strict' });
  expect(outcome.rejects).toMatchObject([{ code: 'vin-check-failed' }]);
});

test('a plant of the path is the asset of its records', () => {
  const plantId = '0198c1d2-0000-7000-8000-000000000001';
  const mapping = compiled({ signals: { 'flow.gridPowerKw': { value: 'item.w', unit: 'W' }, quality: 'item.q' } });
  const outcome = mapping.run({ payload: [{ ts: NOW, w: -1500, q: 'GOOD' }], plantId, receivedAtMs: NOW });
  expect(outcome.records).toEqual([
    { assetRef: { plantId }, observedAtMs: NOW, signals: { flow: { gridPowerKw: -1.5 }, quality: 'GOOD' } },
  ]);
});

test('an element with a duplicate identity, or without one, is left out and the others stay', () => {
  const spec = {
    signals: { doors: { each: 'item.d', as: 'door', id: 'door.id', state: 'door.s' }, 'gps.hdop': 'item.h' },
  };
  const outcome = run(spec, [
    {
      ts: NOW,
      d: [
        { id: 'rear', s: 'open' },
        { id: 'rear', s: 'closed' },
      ],
    },
    { ts: NOW, h: 1, d: [{ s: 'open' }] },
    { ts: NOW, d: [{}, { id: 'side', s: 'open' }, { id: 'roof', s: 'open' }] },
    { ts: NOW, h: 2, d: { id: 'rear' } },
  ]);
  expect(outcome.rejects.map(({ record, refused, code }) => [record, refused, code])).toEqual([
    [0, 'element', 'element-duplicate'],
    [1, 'element', 'identity-missing'],
    [2, 'element', 'value-not-allowed'],
    [3, 'group', 'wrong-type'],
  ]);
  expect(outcome.records.map((record) => record.signals)).toEqual([
    { doors: [{ id: 'rear', state: 'open' }] },
    { gps: { hdop: 1 } },
    { doors: [{ id: 'side', state: 'open' }] },
    { gps: { hdop: 2 } },
  ]);
  expect(outcome.records[3]?.states).toEqual({ doors: 'misfit' });
});

test('nested loops bind every name, and a reject points to the failed element through all loops', () => {
  const spec = {
    each: [
      { as: 'asset', in: 'payload.data' },
      { as: 'fix', in: 'asset.gps' },
    ],
    asset: 'asset.vin',
    observedAt: { value: 'fix.ts', format: 'epoch-ms' },
    signals: { 'gps.latitude': 'fix.lat', 'gps.longitude': '5.0' },
  };
  const outcome = run(spec, {
    data: [
      {
        vin: VIN,
        gps: [
          { ts: NOW, lat: 1 },
          { ts: NOW, lat: 'x' },
        ],
      },
      { vin: OTHER_VIN },
      { gps: 5 },
    ],
  });
  expect(outcome.records.map((record) => record.assetRef)).toEqual([{ vin: VIN }]);
  expect(outcome.rejects).toMatchObject([
    { record: 1, element: '/data/0/gps/1' },
    { record: 2, element: '/data/2', pointer: '/records/0/each/1/in' },
  ]);
});

test('`when` leaves out and counts elements that do not satisfy it, such as those with a missing input', () => {
  const outcome = run({ ...latitude, when: 'item.ok' }, [
    { ts: NOW, lat: 1, ok: true },
    { ts: NOW, lat: 1, ok: false },
    { ts: NOW, lat: 1 },
  ]);
  expect(outcome.records).toHaveLength(1);
  expect(outcome.skipped).toBe(2);
  expect(outcome.rejects).toEqual([]);
});

test('`let` names a value for several lines; signals that are read from a null are left out', () => {
  const spec = {
    let: { fix: 'item.valid ? item : null' },
    signals: { 'gps.altitudeM': 'fix.lat', 'gps.hdop': 'item.h' },
  };
  const { records } = run(spec, [
    { ts: NOW, valid: true, lat: 1, h: 2 },
    { ts: NOW, valid: false, lat: 1, h: 2 },
  ]);
  expect(records.map((record) => record.signals.gps)).toEqual([{ altitudeM: 1, hdop: 2 }, { hdop: 2 }]);
});

test('text that the database cannot store is rejected here, in a signal and in a device id', () => {
  const spec = {
    device: { externalId: 'item.id', kind: 'gateway' },
    signals: { 'reefer.alarms': [{ code: { literal: '1' }, description: 'item.text' }] },
  };
  const outcome = run(spec, [
    { ts: NOW, id: 'a', text: 'x\u0000' },
    { ts: NOW, id: 'a', text: '\ud800' },
    { ts: NOW, id: '\u0000', text: 'x' },
    { ts: NOW, id: 'a', text: 'x' },
  ]);
  expect(outcome.rejects.map((reject) => reject.code)).toEqual([
    'text-not-storable',
    'no-signals',
    'text-not-storable',
    'no-signals',
    'text-not-storable',
  ]);
  expect(outcome.records.map((record) => record.signals.reefer?.alarms)).toEqual([[{ code: '1', description: 'x' }]]);
});

test('payloads are bounded: records in one payload, elements in one list', () => {
  const { recordsPerPayloadMax, elementsPerListMax } = MAPPING_LIMITS;
  const many = Array.from({ length: recordsPerPayloadMax + 10 }, () => ({ ts: NOW, lat: 1 }));
  const outcome = run(latitude, many);
  expect(outcome.records).toHaveLength(recordsPerPayloadMax);
  expect(outcome.rejects).toMatchObject([{ record: recordsPerPayloadMax, code: 'too-many-records' }]);
  const spec = {
    signals: { axles: { each: 'item.a', as: 'axle', axle: 'axle.n', weightKg: 'axle.w' }, 'gps.hdop': 'item.h' },
  };
  const long = run(spec, [
    { ts: NOW, h: 1, a: Array.from({ length: elementsPerListMax + 1 }, () => ({ n: 1, w: 2 })) },
  ]);
  expect(long.records).toMatchObject([{ signals: { gps: { hdop: 1 } }, states: { axles: 'misfit' } }]);
  expect(long.rejects).toMatchObject([
    { refused: 'group', code: 'too-many-elements', pointer: '/records/0/signals/axles/each' },
  ]);
});

test('no JSON makes any mapping throw, and the same payload always gives the same outcome', () => {
  const products = loadProducts(`${import.meta.dirname}/../../products`);
  const keys = fc.constantFrom(
    ...'position device attributes fixTime deviceTime latitude longitude speed course valid uniqueId data gps time asset'.split(
      ' ',
    ),
    ...'externalIds samsara.vin reeferAlarms alarms bn bt n v u t vb vs reports unit serial at doors id state vin timestamp'.split(
      ' ',
    ),
    ...'position.latitude position.valid uplink_message decoded_payload received_at __proto__ constructor'.split(' '),
  );
  const scalars = fc.oneof(
    fc.constantFrom(
      null,
      true,
      false,
      0,
      -1,
      360,
      1e308,
      1795183378,
      1795183378412,
      VIN,
      VIN.slice(1),
      '',
      'rear',
      'lat',
    ),
    fc.constantFrom('2026-11-20T12:00:00Z', '2026-11-20T12:00:00', 'urn:vin:', `urn:vin:${VIN}:`, '\u0000', '\ud800'),
    fc.double(),
    fc.string(),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      scalars,
      fc.array(tie('value'), { maxLength: 4 }),
      tie('object'),
    ),
    object: fc.array(fc.tuple(keys, tie('value')), { maxLength: 8 }).map((entries) => Object.fromEntries(entries)),
  }));
  fc.assert(
    fc.property(value, (made) => {
      const payload: unknown = JSON.parse(JSON.stringify(made));
      for (const { mapping, validateInput } of products.all) {
        validateInput(payload);
        const first = mapping.run({ payload, vin: VIN, receivedAtMs: NOW });
        const second = mapping.run({ payload: structuredClone(payload), vin: VIN, receivedAtMs: NOW });
        expect(second).toEqual(first);
      }
    }),
    { numRuns: 1500 },
  );
});
