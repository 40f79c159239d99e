import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ApiDocument } from '../../test/api-contract.ts';
import { type RequestSchema, requestSchemas } from '../../test/reference-schemas.ts';
import { openApiDocument } from '../app/openapi.ts';
import { toFault } from './problem.ts';
import { compileValidator } from './validation.ts';

/** Whatever does not match a schema of a route, each finding says in words what to send, and where. */
const ANYTHING = [null, true, -1, 0.5, 1e30, '', 'x', 'x'.repeat(300), '\u0000', ' ', [], [null], {}, { x: 1 }];
let schemas: RequestSchema[];

beforeAll(async () => {
  schemas = requestSchemas((await openApiDocument()) as ApiDocument);
});

/** Values that a schema may be asked about, most of them wrong, each place of it at a time. */
function bad(schema: any): fc.Arbitrary<unknown> {
  const anything = fc.oneof(fc.constantFrom(...ANYTHING), fc.jsonValue({ maxDepth: 2 }));
  if (schema.anyOf) return fc.oneof(anything, ...schema.anyOf.map(bad));
  if (schema.type === 'array')
    return fc.oneof(anything, fc.array(bad(schema.items), { maxLength: 3 }), fc.constant(Array(2_000).fill('x')));
  if (schema.type !== 'object') return anything;
  const properties = { ...schema.properties, unexpected: {} };
  const members = Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, bad(child)]));
  return fc.oneof(anything, fc.record(members as Record<string, fc.Arbitrary<unknown>>, { requiredKeys: [] }));
}

function findings(
  { part, schema }: RequestSchema,
  value: unknown,
): { pointer: string; code: string; detail: string }[] {
  const result = compileValidator({ schema, httpPart: part })(structuredClone(value));
  if (!('error' in result)) return [];
  const fault = toFault(result.error);
  expect(fault.code).toBe('validation-failed');
  expect(fault.message).toMatch(/^The (body|query|path|headers) does not match its schema: \S+ .+\.$/);
  expect(fault.errors.length).toBeGreaterThan(0);
  return [...fault.errors];
}

test('every finding of every route has a pointer, and words that say what to send', () => {
  const codes = new Set<string>();
  const roots = { body: '', querystring: '/query', params: '/path', headers: '/headers' };
  expect(schemas.length).toBeGreaterThan(40);
  for (const schema of schemas) {
    fc.assert(
      fc.property(bad(schema.schema), (value) => {
        for (const { pointer, code, detail } of findings(schema, value)) {
          codes.add(code);
          expect(pointer).toMatch(new RegExp(`^${roots[schema.part]}(/|$)`));
          // Reads on from the pointer, in words of ours; what comes from the validator is in its own.
          expect(detail).toMatch(/^(must (be|have) \S.*[^\s.:]|is missing; send it|is not known here; \S.*[^\s.:])$/s);
          expect(detail).not.toMatch(/undefined|\[object|see its schema|as the pattern|of the format|: *$/);
        }
      }),
      { numRuns: 60 },
    );
  }
  // Nothing of what the schemas ask for was left untried.
  expect([...codes]).toEqual(
    expect.arrayContaining([
      'type',
      'required',
      'additionalProperties',
      'enum',
      'pattern',
      'format',
      'minLength',
      'maxLength',
      'minimum',
      'maximum',
      'minItems',
      'maxItems',
      'minProperties',
    ]),
  );
});

describe('a finding', () => {
  const one = (schema: object, value: unknown) => findings({ route: '', part: 'body', schema }, value);
  const nullable = { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] };

  test.each([
    [
      { properties: { at: nullable } },
      { at: 'soon' },
      'must be an instant with a zone (RFC 3339), such as 2026-11-20T14:02:58Z, or null',
    ],
    [{ properties: { at: nullable } }, { at: 5 }, 'must be text, or null'],
    [{ properties: { at: { type: 'string', enum: ['a', 'b'] } } }, { at: 5 }, 'must be text'],
    [{ properties: { at: { type: 'string', enum: ['a', 'b'] } } }, { at: 'c' }, 'must be one of "a", "b"'],
    [{ properties: { at: { type: 'array', minItems: 1 } } }, { at: [] }, 'must have 1 entry or more'],
    [{ properties: { at: { type: 'string', maxLength: 1 } } }, { at: 'ab' }, 'must have 1 character or less'],
  ])('of %j for %j is one, in plain words', (schema, value, detail) => {
    expect(one({ type: 'object', ...schema }, value)).toEqual([expect.objectContaining({ pointer: '/at', detail })]);
  });

  test('inside a union that may be null is told at its own place', () => {
    const schema = {
      anyOf: [{ type: 'object', properties: { a: { type: 'integer', minimum: 1 } } }, { type: 'null' }],
    };
    expect(one({ type: 'object', properties: { at: schema } }, { at: { a: 0 } })).toEqual([
      { pointer: '/at/a', code: 'minimum', detail: 'must be 1 or more' },
    ]);
  });

  test('about the whole body says so', () => {
    expect(() => toFault(0)).not.toThrow();
    const result = compileValidator({ schema: { type: 'object' }, httpPart: 'body' })([]);
    expect(toFault((result as { error: Error }).error).message).toBe(
      'The body does not match its schema: it must be a JSON object.',
    );
  });
});
