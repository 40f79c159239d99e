import { Ajv2020, type ErrorObject, type Options } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { ValidatedPart } from './findings.ts';

/**
 * Validation at the door, by the same schemas that make the OpenAPI document. Bodies are taken as they are; query and
 * path arrive as text, so there numbers and booleans are read from it. What a schema does not name is refused, with
 * its place, instead of being dropped in silence.
 */
const OPTIONS: Options = { allErrors: true, removeAdditional: false, useDefaults: true, strict: false, verbose: true };

const forBodies = withFormats(new Ajv2020(OPTIONS));
const forText = withFormats(new Ajv2020({ ...OPTIONS, coerceTypes: true }));

export function compileValidator(route: {
  schema: unknown;
  httpPart?: string;
}): (data: unknown) => { value: unknown } | { error: Error } {
  const validate = (route.httpPart === 'body' ? forBodies : forText).compile(route.schema as object);
  return (data) => {
    if (validate(data)) return { value: data };
    return { error: new ValidationError(validate.errors ?? [], (route.httpPart ?? 'body') as ValidatedPart) };
  };
}

class ValidationError extends Error {
  readonly validation: readonly ErrorObject[];
  readonly validationContext: ValidatedPart;
  constructor(validation: readonly ErrorObject[], context: ValidatedPart) {
    super('validation failed');
    this.validation = validation;
    this.validationContext = context;
  }
}

function withFormats(ajv: Ajv2020): Ajv2020 {
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  return ajv;
}
