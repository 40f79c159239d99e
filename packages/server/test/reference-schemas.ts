import type { ValidatedPart } from '../src/edge/findings.ts';
import type { ApiDocument } from './api-contract.ts';

/** One schema that requests are held against, as the OpenAPI document has it, with nothing referred to. */
export interface RequestSchema {
  readonly route: string;
  readonly part: ValidatedPart;
  readonly schema: any;
}

const PARTS: Readonly<Record<string, ValidatedPart>> = { query: 'querystring', path: 'params', header: 'headers' };

export function requestSchemas(document: ApiDocument): RequestSchema[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, operation]: [string, any]) => {
      const route = `${method.toUpperCase()} ${path}`;
      const body = operation.requestBody?.content['application/json']?.schema;
      const schemas: RequestSchema[] = body ? [{ route, part: 'body', schema: inline(document, body) }] : [];
      for (const [place, part] of Object.entries(PARTS)) {
        const found = (operation.parameters ?? []).filter((parameter: any) => parameter.in === place);
        if (found.length === 0) continue;
        schemas.push({ route, part, schema: objectOf(document, found, part === 'querystring') });
      }
      return schemas;
    }),
  );
}

function objectOf(document: ApiDocument, parameters: any[], isClosed: boolean): object {
  return {
    type: 'object',
    properties: Object.fromEntries(parameters.map(({ name, schema }) => [name, inline(document, schema)])),
    required: parameters.filter(({ required }) => required).map(({ name }) => name),
    ...(isClosed && { additionalProperties: false }),
  };
}

function inline(document: ApiDocument, value: any): any {
  if (Array.isArray(value)) return value.map((item) => inline(document, item));
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.$ref === 'string')
    return inline(document, document.components.schemas[value.$ref.split('/').at(-1)]);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, inline(document, child)]));
}
