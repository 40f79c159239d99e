import { describe, expect, test } from 'vitest';
import type { Fault } from './fault.ts';
import { JSON_DEPTH_MAX, readJson } from './read-json.ts';

const read = (text: string) => readJson(Buffer.from(text));

function refusal(text: string): string {
  try {
    read(text);
  } catch (error) {
    return (error as Fault).code;
  }
  return 'accepted';
}

describe('depth', () => {
  test('is limited to what is allowed, not one level less or more', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(refusal(nested(JSON_DEPTH_MAX))).toBe('accepted');
    expect(refusal(nested(JSON_DEPTH_MAX + 1))).toBe('too-deep');
    expect(refusal(`${'[{"a":'.repeat(JSON_DEPTH_MAX)}1${'}]'.repeat(JSON_DEPTH_MAX)}`)).toBe('too-deep');
  });

  test('is not the number of brackets, nor counted inside text', () => {
    expect(read(`[${'{},'.repeat(1_000)}[]]`)).toHaveLength(1_001);
    expect(refusal(JSON.stringify(`\\"${'['.repeat(1_000)}`))).toBe('accepted');
  });
});

describe('numbers beyond double precision are refused however they are written', () => {
  test.each([
    ['a large exponent', '[1e400]'],
    ['an upper-case exponent with a sign', '[1E+309]'],
    ['400 digits', `[${'9'.repeat(400)}]`],
    ['250 digits and a small exponent', `[0,${'9'.repeat(250)}e99]`],
    ['many digits far into the body', `["${'x'.repeat(1_234)}",-${'9'.repeat(310)}]`],
  ])('%s', (_, text) => {
    expect(refusal(text)).toBe('validation-failed');
  });

  test('what is large and still a number passes, and so do digits in text', () => {
    expect(read('[1e308, 1.5e-400]')).toEqual([1e308, 0]);
    expect(refusal(`["${'9'.repeat(1_000)}"]`)).toBe('accepted');
  });
});
