import { openApiDocument } from '../../src/app/openapi.ts';
import type { ApiDocument, ApiOperation } from '../api-contract.ts';

/** The operations of the OpenAPI document, as the tests of it walk them. */
export interface Operation {
  /** `GET /api/v1/fleets`. */
  readonly at: string;
  readonly method: string;
  readonly path: string;
  readonly operation: ApiOperation;
}

export const document = (await openApiDocument()) as ApiDocument;

export const operations: readonly Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([name, operation]) => {
    const method = name.toUpperCase();
    return { at: `${method} ${path}`, method, path, operation };
  }),
);

/** The component that describes an answer, `$ref` or not. */
export function answerOf({ operation }: Operation, status: string): any {
  const answer = operation.responses[status];
  const name = answer?.$ref?.split('/').at(-1);
  return name === undefined ? answer : document.components.responses[name];
}

/** Every code of the error registry that the operation names. */
export function codesOf(one: Operation): string[] {
  return Object.keys(one.operation.responses).flatMap((status) => {
    const content: Record<string, any> = Number(status) < 400 ? {} : answerOf(one, status).content;
    return [...new Set(Object.values(content).flatMap(({ examples }) => Object.keys(examples)))];
  });
}
