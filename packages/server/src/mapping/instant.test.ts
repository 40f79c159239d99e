import { expect, test } from 'vitest';
import { readInstant } from './instant.ts';

const NOON = Date.UTC(2026, 10, 20, 12);

test.each([
  ['2026-11-20T12:00:00Z', NOON],
  ['2026-11-20t12:00:00.5z', NOON + 500],
  ['2026-11-20T12:00:00.412+00:00', NOON + 412],
  ['2026-11-20T13:30:00+01:30', NOON],
  ['2026-11-20T05:00:00-07:00', NOON],
  ['2026-11-20T12:00:00.999999999Z', NOON + 999],
  ['2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)],
  ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
])('%s is read to the millisecond, cut and never rounded', (text, ms) => {
  expect(readInstant(text, 'rfc3339')).toEqual({ ms });
});

test.each(['2026-11-20T12:00:00', '2026-11-20 12:00', '2026-11-20', '2026-11-20T12:00:00.123456'])(
  'a timestamp without a zone (%s) is refused, not guessed',
  (text) => {
    expect(readInstant(text, 'rfc3339')).toMatchObject({ code: 'timestamp-without-zone' });
  },
);

test.each([
  '2025-02-29T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-11-20T24:00:00Z',
  '2026-11-20T12:00:00.1234567890Z',
  '2026-11-20T12:00:00+25:00',
  '1969-12-31T23:59:59Z',
  'yesterday',
  '',
])('a date that does not exist or is no timestamp (%s) is refused', (text) => {
  expect(readInstant(text, 'rfc3339')).toMatchObject({ code: 'timestamp-invalid' });
});

test('epoch-auto tells seconds, milliseconds, microseconds and nanoseconds apart by magnitude', () => {
  for (const unit of [NOON / 1000, NOON, NOON * 1e3, NOON * 1e6]) {
    expect(readInstant(unit, 'epoch-auto')).toEqual({ ms: NOON });
  }
});

test('seconds with a fraction keep their milliseconds in spite of binary fractions', () => {
  for (let millisecond = 0; millisecond < 1000; millisecond += 1) {
    expect(readInstant((NOON + millisecond) / 1000, 'epoch-s')).toEqual({ ms: NOON + millisecond });
  }
});

test.each([
  [String(NOON), 'epoch-ms', 'wrong-type'],
  [NOON, 'rfc3339', 'wrong-type'],
  [-1, 'epoch-s', 'timestamp-invalid'],
  [Number.NaN, 'epoch-auto', 'timestamp-invalid'],
  [1e300, 'epoch-ms', 'timestamp-invalid'],
] as const)('%s as %s is refused as %s', (value, format, code) => {
  expect(readInstant(value, format)).toMatchObject({ code });
});
