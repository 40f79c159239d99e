import type { FieldError } from '@gladhand/contract/errors.ts';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { TSchema } from 'typebox';

/** Maximum number of schema errors that one answer lists. */
export const FIELD_ERRORS_MAX = 20;

const CODES: Readonly<Record<string, string>> = {
  required: 'required',
  additionalProperties: 'unexpected',
  unevaluatedProperties: 'unexpected',
  type: 'type',
  enum: 'value',
  const: 'value',
  format: 'format',
  pattern: 'format',
};

/** Our own `x-` annotations in the schema of the canonical model. */
const ANNOTATIONS = 'unit cycle counter not-available stated identity identity-default'
  .split(' ')
  .map((name) => `x-${name}`);

/**
 * Makes an Ajv for JSON Schema 2020-12 with formats and our `x-` annotations. This takes 50 ms, so the whole process
 * shares two of them. Schemas are not registered by `$id`, because two partners may choose the same `$id`.
 */
export function createAjv(options: { allErrors: boolean }): Ajv2020 {
  const ajv = new Ajv2020({
    allErrors: options.allErrors,
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
    addUsedSchema: false,
  });
  ajv.addVocabulary([...ANNOTATIONS, 'example']);
  formats.default(ajv);
  return ajv;
}

/** Reports all errors. For small values, or for values that are known to be wrong. */
export const allErrorsAjv = createAjv({ allErrors: true });
const compiled = new WeakMap<TSchema, ValidateFunction>();

/** Checks a product or mapping document against its schema. Returns all errors; `at` is prepended to their pointers. */
export function checkShape(schema: TSchema, value: unknown, at: string): FieldError[] {
  let validate = compiled.get(schema);
  if (validate === undefined) compiled.set(schema, (validate = allErrorsAjv.compile(schema)));
  return validate(value) ? [] : fieldErrors(validate.errors ?? [], at, Number.POSITIVE_INFINITY);
}

/** Turns Ajv errors into a JSON Pointer and a sentence each: at most `max`, and one for each pointer. */
export function fieldErrors(errors: readonly ErrorObject[], at = '', max = FIELD_ERRORS_MAX): FieldError[] {
  const found = new Map<string, FieldError>();
  for (const error of errors) {
    if (found.size >= max) break;
    // `if` and `allOf` only say that a schema inside them failed. That schema has an error of its own.
    if (error.keyword === 'if' || error.keyword === 'allOf') continue;
    const pointer = at + error.instancePath + innerPointer(error);
    if (!found.has(pointer)) {
      found.set(pointer, { pointer, code: CODES[error.keyword] ?? 'bounds', detail: detailOf(error) });
    }
  }
  return [...found.values()];
}

/** One step of a JSON Pointer: a slash and the escaped name (RFC 6901 3). */
export function pointerStep(name: string | number): string {
  const text = String(name);
  return /[~/]/.test(text) ? `/${text.replaceAll('~', '~0').replaceAll('/', '~1')}` : `/${text}`;
}

function innerPointer(error: ErrorObject): string {
  if (error.keyword === 'required') return pointerStep(error.params['missingProperty']);
  if (error.keyword === 'additionalProperties') return pointerStep(error.params['additionalProperty']);
  if (error.keyword === 'unevaluatedProperties') return pointerStep(error.params['unevaluatedProperty']);
  return '';
}

function detailOf(error: ErrorObject): string {
  switch (error.keyword) {
    case 'required':
      return 'is required';
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return 'is not known here';
    case 'type':
      return `expected ${[error.params['type']].flat().join(' or ')}`;
    case 'enum':
      return `expected one of ${(error.params['allowedValues'] as unknown[]).map((value) => JSON.stringify(value)).join(', ')}`;
    case 'const':
      return `expected ${JSON.stringify(error.params['allowedValue'])}`;
    default:
      return error.message ?? 'is not valid';
  }
}
