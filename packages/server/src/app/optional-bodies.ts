import { readBodyUse } from '../edge/bodies.ts';

/** The parts of the OpenAPI document that are used here. */
interface ApiDocument {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
}
interface Operation {
  readonly requestBody?: {
    readonly required?: boolean;
    readonly content: Readonly<Record<string, { readonly schema?: { readonly type?: unknown } }>>;
  };
}

/** Marks the optional bodies in the OpenAPI document: those for which `{}` is valid. bodies.ts reads a missing body as `{}`. */
export function withOptionalBodies<Document extends ApiDocument>(document: Document): Document {
  const paths = Object.entries(document.paths ?? {}).map(([path, item]) => [
    path,
    Object.fromEntries(
      Object.entries(item ?? {}).map(([method, operation]) => [method, marked(operation as Operation)]),
    ),
  ]);
  return { ...document, paths: Object.fromEntries(paths) as Document['paths'] };
}

function marked(operation: Operation): Operation {
  const { requestBody } = operation;
  const schema = requestBody?.content['application/json']?.schema;
  if (requestBody === undefined || readBodyUse(schema) !== 'optional') return operation;
  return { ...operation, requestBody: { ...requestBody, required: false } };
}
