import { readBodyUse } from '../edge/bodies.ts';

/** As much of the document as is looked at here. */
interface ApiDocument {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
}
interface Operation {
  readonly requestBody?: {
    readonly required?: boolean;
    readonly content: Readonly<Record<string, { readonly schema?: { readonly type?: unknown } }>>;
  };
}

/** Says in the OpenAPI document which bodies may be left out: those that `{}` satisfies, as bodies.ts reads them. */
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
