import { expect, test } from 'vitest';
import { compileMapping } from './compile.ts';
import { MAPPING_LIMITS } from './document.ts';

const product = { vinCheck: 'mark', clockSkew: { pastSecondsMax: 86400, futureSecondsMax: 60 } } as const;
const record = (extra: Record<string, unknown>) => ({
  each: 'payload.items',
  observedAt: { value: 'item.ts', format: 'epoch-ms' },
  signals: { 'gps.hdop': 'item.hdop' },
  ...extra,
});
const errorsOf = (document: unknown) => {
  const result = compileMapping(document, { product });
  return result.ok ? [] : result.errors;
};
const inRecord = (extra: Record<string, unknown>) =>
  errorsOf({ format: 'gladhand.mapping/v1', records: [record(extra)] });
const inSignals = (signals: Record<string, unknown>) => inRecord({ signals });

test('the example of the documentation compiles', () => {
  const errors = inRecord({
    when: 'item.gps.valid',
    asset: 'item.vin',
    device: { externalId: 'string(item.imei)', kind: 'gateway' },
    signals: {
      'gps.latitude': 'item.lat',
      'gps.longitude': 'item.lng',
      'gps.speedKph': { value: 'item.spd', unit: 'mi/h' },
      'motion.ignition': { value: 'item.ign', values: { 0: 'off', 1: 'on' } },
      tires: {
        each: 'item.tires',
        as: 'tire',
        axle: 'tire.pos / 16',
        side: { value: 'tire.pos % 16', values: { 0: 'left', 1: 'left', 2: 'right', 3: 'right' } },
        pressureKpa: { value: 'tire.psi', unit: '[psi]' },
      },
    },
  });
  expect(errors).toEqual([]);
});

test.each<[string, Record<string, unknown>, string, string]>([
  ['no observedAt', { observedAt: undefined }, '/records/0/observedAt', 'required'],
  ['an unknown key', { wen: 'true' }, '/records/0/wen', 'unexpected'],
  [
    'an unknown time format',
    { observedAt: { value: 'item.ts', format: 'unix' } },
    '/records/0/observedAt/format',
    'value',
  ],
  [
    'a time of the wrong type',
    { observedAt: { value: '"now"', format: 'epoch-s' } },
    '/records/0/observedAt/value',
    'expression-type',
  ],
  ['a loop over no list', { each: '5' }, '/records/0/each', 'expression-type'],
  ['a loop of the wrong shape', { each: 5 }, '/records/0/each', 'type'],
  [
    'a loop name that is taken',
    {
      each: [
        { as: 'item', in: 'payload' },
        { as: 'payload', in: 'payload' },
      ],
    },
    '/records/0/each/1/as',
    'name-taken',
  ],
  [
    'a loop name that is no name',
    {
      each: [
        { as: 'item', in: 'payload' },
        { as: 'A-b', in: 'payload' },
      ],
    },
    '/records/0/each/1/as',
    'format',
  ],
  [
    'too many loops',
    { each: ['item', 'a', 'b', 'c', 'd'].map((as) => ({ as, in: 'payload' })) },
    '/records/0/each',
    'type',
  ],
  ['a filter that is no bool', { when: '1' }, '/records/0/when', 'expression-type'],
  ['a VIN that is no text', { asset: '17' }, '/records/0/asset', 'expression-type'],
  ['a device without kind', { device: { externalId: 'item.id' } }, '/records/0/device/kind', 'required'],
  ['a let that shadows', { let: { item: 'payload' } }, '/records/0/let/item', 'name-taken'],
  ['no signals', { signals: {} }, '/records/0/signals', 'bounds'],
])('%s is refused with its place', (_what, extra, pointer, code) => {
  expect(inRecord(extra)).toMatchObject([{ pointer, code }]);
});

const at = (path: string) => `/records/0/signals/${path}`;
test.each<[string, Record<string, unknown>, string, string]>([
  ['an unknown target', { 'gps.lat': 'item.lat' }, at('gps.lat'), 'target-unknown'],
  ['a group as target', { gps: 'item.gps' }, at('gps'), 'target-is-group'],
  ['a field of a list without its element', { 'tires.axle': '1' }, at('tires.axle'), 'target-is-list'],
  ['a list that is no list', { tires: 'item.tires' }, at('tires'), 'type'],
  ['a leaf that is a list', { 'gps.hdop': ['item.lat'] }, at('gps.hdop'), 'type'],
  ['CEL that does not parse', { 'gps.hdop': 'item.lat +' }, at('gps.hdop'), 'expression-syntax'],
  ['CEL that does not type-check', { 'gps.hdop': '"a" - 1' }, at('gps.hdop'), 'expression-type'],
  ['CEL of another type', { 'motion.moving': '"yes"' }, at('motion.moving'), 'expression-type'],
  ['an unknown variable', { 'gps.hdop': 'itme.lat' }, at('gps.hdop'), 'expression-variable'],
  ['CEL that is too long', { 'gps.hdop': `item.lat${' '.repeat(5000)}` }, at('gps.hdop'), 'expression-too-long'],
  ['a regular expression', { 'motion.moving': 'item.a.matches("x")' }, at('motion.moving'), 'expression-refused'],
  [
    'a unit that is none',
    { 'gps.speedKph': { value: 'item.s', unit: 'miles/h' } },
    at('gps.speedKph/unit'),
    'unit-unknown',
  ],
  [
    'a unit of another dimension',
    { 'gps.speedKph': { value: 'item.s', unit: 'kPa' } },
    at('gps.speedKph/unit'),
    'unit-dimension',
  ],
  [
    'a unit where none belongs',
    { 'gps.satellites': { value: 'item.s', unit: 'm' } },
    at('gps.satellites/unit'),
    'unit-unexpected',
  ],
  ['a unit of the wrong shape', { 'gps.speedKph': { value: 'item.s', unit: 5 } }, at('gps.speedKph/unit'), 'type'],
  [
    'a table to a value that is not allowed',
    { 'motion.ignition': { value: 'item.i', values: { 1: 'yes' } } },
    at('motion.ignition/values/1'),
    'values-invalid',
  ],
  [
    'otherwise without a table',
    { 'motion.ignition': { value: 'item.i', otherwise: 'on' } },
    at('motion.ignition/otherwise'),
    'unexpected',
  ],
  [
    'a default of a measured value',
    { 'gps.hdop': { value: 'item.h', default: 1 } },
    at('gps.hdop/default'),
    'default-refused',
  ],
  [
    'a default that does not fit',
    { tires: { each: 'item.t', as: 't', axle: { value: 't.a', default: 'first' }, side: 't.s', pressureKpa: 't.p' } },
    at('tires/axle/default'),
    'default-invalid',
  ],
  ['half a position', { 'gps.latitude': 'item.lat' }, '/records/0/signals', 'position-incomplete'],
  ['a line without value', { 'gps.hdop': { unit: '1' } }, at('gps.hdop/value'), 'required'],
  ['an unknown option', { 'gps.hdop': { value: 'item.h', scale: 2 } }, at('gps.hdop/scale'), 'unexpected'],
  [
    'one value with two states',
    { 'gps.hdop': { value: 'item.h', notAvailable: [255], error: [255] } },
    at('gps.hdop/error/0'),
    'assigned-twice',
  ],
  [
    'a literal that does not fit',
    { 'gps.speedSource': { literal: 'radar' } },
    at('gps.speedSource/literal'),
    'literal-invalid',
  ],
  [
    'an element without identity',
    { lights: { each: 'item.l', as: 'l', state: 'l.s' } },
    at('lights/circuit'),
    'required',
  ],
  [
    'a fault that nothing tells apart',
    { faults: { each: 'item.f', as: 'f', protocol: { literal: 'j1939' } } },
    at('faults'),
    'required',
  ],
  [
    'identity that may be null',
    { doors: [{ id: { value: 'item.d', notAvailable: ['?'] } }] },
    at('doors/0/id/notAvailable'),
    'unexpected',
  ],
  [
    'one element made twice',
    {
      doors: [
        { id: { literal: 'rear' }, state: 'item.a' },
        { id: { literal: 'rear' }, state: 'item.b' },
      ],
    },
    at('doors/1'),
    'assigned-twice',
  ],
  [
    'an element name that is taken',
    { doors: { each: 'item.d', as: 'item', id: 'item.id' } },
    at('doors/as'),
    'name-taken',
  ],
  ['a list without elements', { doors: [] }, at('doors'), 'bounds'],
])('%s is refused with its place', (_what, signals, pointer, code) => {
  expect(inSignals(signals)).toMatchObject([{ pointer, code }]);
});

test('all errors of a document are reported together, each with what was expected', () => {
  const errors = inRecord({
    when: 'nope',
    signals: { 'gps.lat': 'item.lat', 'gps.speedKph': { value: 'item.s +', unit: 'kPa' } },
  });
  expect(errors.map((error) => error.code).sort()).toEqual(
    ['expression-syntax', 'expression-variable', 'target-unknown', 'unit-dimension'].sort(),
  );
  for (const error of errors) expect(error.detail.length).toBeGreaterThan(10);
});

test.each([null, 5, [], {}, { format: 'gladhand.mapping/v2', records: [] }])(
  '%j is no mapping document',
  (document) => {
    expect(errorsOf(document).length).toBeGreaterThan(0);
  },
);

test('a document has a bounded number of records and lines', () => {
  const many = Array.from({ length: MAPPING_LIMITS.recordSpecsMax + 1 }, () => record({}));
  expect(errorsOf({ format: 'gladhand.mapping/v1', records: many })).toMatchObject([
    { pointer: '/records', code: 'bounds' },
  ]);
});
