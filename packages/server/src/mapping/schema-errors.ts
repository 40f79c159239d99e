import type { FieldError } from '@gladhand/contract/errors.ts';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { TSchema } from 'typebox';

/** JSON Schema findings as JSON Pointers with one sentence each. */
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

/** Of the schema of the canonical model. */
const ANNOTATIONS = 'unit cycle counter not-available stated identity identity-default'
  .split(' ')
  .map((name) => `x-${name}`);

/**
 * An Ajv for JSON Schema 2020-12 with formats. Making one costs 50 ms, so there are two for everything; schemas are not
 * kept by their `$id`, which partners may choose alike; `x-` annotations of our own schemas are let through.
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

/** Finds everything: for what is small or was found wrong already. */
export const allErrorsAjv = createAjv({ allErrors: true });
const compiled = new WeakMap<TSchema, ValidateFunction>();

/** Checks one of our documents (small, written by people) against its schema: every finding. `at` is where it stands. */
export function checkShape(schema: TSchema, value: unknown, at: string): FieldError[] {
  let validate = compiled.get(schema);
  if (validate === undefined) compiled.set(schema, (validate = allErrorsAjv.compile(schema)));
  return validate(value) ? [] : fieldErrors(validate.errors ?? [], at, Number.POSITIVE_INFINITY);
}

/** At most `max` findings, each place once. */
export function fieldErrors(errors: readonly ErrorObject[], at = '', max = FIELD_ERRORS_MAX): FieldError[] {
  const found = new Map<string, FieldError>();
  for (const error of errors) {
    if (found.size >= max) break;
    // Wrappers say that something inside them failed; the inside says it better.
    if (error.keyword === 'if' || error.keyword === 'allOf') continue;
    const pointer = at + error.instancePath + innerPointer(error);
    if (!found.has(pointer)) {
      found.set(pointer, { pointer, code: CODES[error.keyword] ?? 'bounds', detail: detailOf(error) });
    }
  }
  return [...found.values()];
}

/** RFC 6901 escaping of one step. */
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
