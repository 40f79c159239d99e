import { Environment } from '@marcbachmann/cel-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileExpression } from './expression.ts';
import { Misfit } from './misfit.ts';

const scope = {
  payload: { a: 17, half: 0.5, nothing: null, text: 'x', list: [1, 2, 3], 'dotted.key': 5, object: {}, flag: true },
  vin: '1UYVS2533P7204518',
  receivedAt: new Date(0),
};
const run = (source: string) => {
  const compiled = compileExpression(source, '/here', []);
  if (!compiled.ok) throw new Error(compiled.detail);
  return compiled.expression.evaluate(scope);
};

test.each([
  ['payload.a / 16', 1.0625],
  ['payload.a % 16', 1],
  ['int(payload.a) / 16', 1],
  ['payload.half * 2', 1],
  ['payload["dotted.key"] + 1', 6],
  ['payload.list[1]', 2],
  ['[4, 5][1]', 5],
  ['string(payload.a)', '17'],
  ['7 / 2', 3],
  ['uint(7)', 7],
  ['payload.list.exists(entry, entry == 2)', true],
  ['has(payload.gone) ? 1 : 2', 2],
  ['payload.nothing == null', true],
])('%s is %j: numbers of JSON may be mixed with whole ones', (source, expected) => {
  expect(run(source)).toEqual(expected);
});

test.each([
  'payload.gone',
  'payload.gone.deeper',
  'payload.nothing.deeper',
  'payload.list[7]',
  'payload.gone * 2',
  'payload.nothing * 2',
  'payload.a + payload.gone',
  'string(payload.nothing)',
  'payload[payload.text]',
  'payload.gone.map(entry, entry)',
  'payload.flag ? payload.gone : 1',
  'payload.constructor',
  'payload.object.toString',
])('%s is a miss: what is not there leaves a signal out', (source) => {
  expect(run(source) ?? undefined).toBeUndefined();
});

test.each([
  'payload.text.deeper',
  'payload.a.deeper',
  'payload.list.first',
  'payload.object[0]',
  'payload.text * 2',
  'payload.text + 1',
  'double(payload.text)',
  'payload.a ? 1 : 2',
  'payload.text.deeper == 1',
])('%s meets the wrong type and says where', (source) => {
  const failure = (() => {
    try {
      return run(source);
    } catch (error) {
      return error;
    }
  })();
  expect(failure).toBeInstanceOf(Misfit);
  expect(failure).toMatchObject({ place: { pointer: '/here', expression: source } });
});

test.each([
  ['payload.a +', 'expression-syntax'],
  ['item.a', 'expression-variable'],
  ['payload.list.map(entry, other)', 'expression-variable'],
  ['"a" < 1', 'expression-type'],
  ['payload.text.matches("(a+)+$")', 'expression-refused'],
  ['payload.list.map(a, payload.list.map(b, b))', 'expression-refused'],
  [`payload.a${' '.repeat(4096)}`, 'expression-too-long'],
])('%s is refused as %s before it ever runs', (source, code) => {
  expect(compileExpression(source, '', [])).toMatchObject({ ok: false, code });
});

// Used in paths only, never as keys of the payload: cel-js does not accept an object with such a key as a map.
const inherited = fc.constantFrom('constructor', 'valueOf', 'hasOwnProperty');
const name = fc.constantFrom('a', 'b', 'x.y', '__proto__', 'toString');
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, 1, 2.5, 'text', true),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
  object: fc
    .array(fc.tuple(name, tie('value')), { maxLength: 4 })
    .map((entries) => JSON.parse(JSON.stringify(Object.fromEntries(entries)))),
}));

test('a path that is read without cel-js gives the same value, miss or failure as cel-js', () => {
  const cel = new Environment({ unlistedVariablesAreDyn: true });
  const step = fc.oneof(
    fc.oneof(name, inherited).map((key) => `[${JSON.stringify(key)}]`),
    fc.constantFrom('.a', '.b', '[0]', '[1]'),
  );
  fc.assert(
    fc.property(json.object, fc.array(step, { minLength: 1, maxLength: 4 }), (payload, steps) => {
      const source = `payload${steps.join('')}`;
      const compiled = compileExpression(source, '', []);
      if (!compiled.ok) throw new Error(compiled.detail);
      let expected: unknown;
      try {
        expected = cel.parse(source)({ payload });
      } catch {
        expected = undefined;
      }
      let found: unknown;
      try {
        found = compiled.expression.evaluate({ payload });
      } catch (error) {
        expect(error).toBeInstanceOf(Misfit);
      }
      expect(found).toEqual(expected);
    }),
    { numRuns: 1000 },
  );
});
