import { expect, test } from 'vitest';
import { decodeSenml } from './decode-senml.ts';

const NOW = Date.UTC(2026, 10, 20, 12);

test('base name, time, unit and value carry over to the entries that follow until another one comes', () => {
  const { items, faults } = decodeSenml(
    [
      { bn: 'a:', bt: 1_795_000_000, bu: 'Cel', bv: 20, n: 'x', v: 1 },
      { n: 'y', v: 2, t: -5 },
      { bn: 'b:', n: 'x', u: 'V', v: 3 },
    ],
    NOW,
  );
  expect(faults).toEqual([]);
  expect(items).toEqual([
    { name: 'a:', time: 1_795_000_000, values: { x: { v: 21, u: 'Cel' } } },
    { name: 'a:', time: 1_794_999_995, values: { y: { v: 22, u: 'Cel' } } },
    { name: 'b:', time: 1_795_000_000, values: { x: { v: 23, u: 'V' } } },
  ]);
});

test.each([
  ['urn:dev:ow:10e2073a01080063:', 'temperature'],
  ['urn:dev:ow:10e2073a01080063', 'temperature'],
  ['urn:dev:ow:10e2073a01080063/', 'temperature'],
  ['urn:dev:ow:', '10e2073a01080063_temperature'],
  ['urn:dev:', 'ow:10e2073a01080063:temperature'],
  ['', 'urn:dev:ow:10e2073a01080063:temperature'],
  ['urn:dev:ow:10e2073a01080063:temperature', ''],
])('a device (RFC 9039) is one device however its name is split: %s and %s', (bn, n) => {
  const own = n === '' ? {} : { n };
  const { items } = decodeSenml([{ ...(bn === '' ? {} : { bn }), bt: 1_795_000_000, ...own, u: 'Cel', v: 4 }], NOW);
  const values = { temperature: { v: 4, u: 'Cel' } };
  expect(items).toEqual([{ name: 'urn:dev:ow:10e2073a01080063', time: 1_795_000_000, values }]);
});

test('a base name alone is the name of the value', () => {
  const { items } = decodeSenml([{ bn: 'temperature', bt: 1_795_000_000, u: 'Cel', v: 4 }], NOW);
  expect(items).toEqual([{ name: '', time: 1_795_000_000, values: { temperature: { v: 4, u: 'Cel' } } }]);
});

test('two devices at one time give two items, with full names and with base names', () => {
  const whole = ['a1', 'b2'].map((id) => ({ n: `urn:dev:mac:${id}:x`, t: 1_795_000_000, v: 1 }));
  const split = ['a1', 'b2'].map((id) => ({ bn: `urn:dev:mac:${id}:`, bt: 1_795_000_000, n: 'x', v: 1 }));
  expect(decodeSenml(whole, NOW).items).toEqual(decodeSenml(split, NOW).items);
  expect(decodeSenml(whole, NOW).items).toHaveLength(2);
});

test('a time under 2^28 is relative to receivedAt, also if it is negative or missing', () => {
  const { items } = decodeSenml(
    [
      { n: 'a', v: 1, t: -42 },
      { n: 'a', v: 2 },
      { n: 'a', v: 3, bt: 2 ** 28 },
    ],
    NOW,
  );
  expect(items?.map((item) => item.time)).toEqual([NOW / 1000 - 42, NOW / 1000, 2 ** 28]);
});

test('the same name twice at one time gives two values', () => {
  const { items } = decodeSenml(
    [
      { bt: 1_795_000_000, n: 'a', v: 1 },
      { n: 'a', v: 2 },
    ],
    NOW,
  );
  expect(items).toHaveLength(2);
});

test('an entry that cannot be resolved is reported with its place, and the other entries are resolved', () => {
  const { items, faults } = decodeSenml(
    [{ n: 'a', v: '1' }, { v: 1 }, { n: '__proto__', v: 1 }, { n: 'c' }, { n: 'd', v: 1, vs: '1' }, { n: 'b', v: 2 }],
    NOW,
  );
  expect(faults.map((fault) => fault.element)).toEqual(['/0', '/1', '/2', '/3', '/4']);
  expect(items?.map((item) => item.values)).toEqual([{ b: { v: 2 } }]);
});

test.each([[{ n: 'a', v: 1, gain_: 2 }], [{ bver: 11, n: 'a', v: 1 }]])(
  'a pack that asks for what we do not understand is refused whole (%j)',
  (record) => {
    const { items, faults } = decodeSenml([{ n: 'b', v: 1 }, record], NOW);
    expect(items).toBeUndefined();
    expect(faults).toHaveLength(1);
  },
);
