import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { openApiDocument } from '../src/app/openapi.ts';

/**
 * Holds answers against the OpenAPI document: the status is one it names, the body is of a media type it names and
 * matches its schema. A test that talks to the server through `call` checks the contract as it goes.
 */
export interface SeenAnswer {
  readonly method: string;
  /** As requested, with its query. */
  readonly path: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body, null when it is not JSON. */
  readonly json: unknown;
}

export interface ApiContract {
  /** Where the answer is not what the document says; empty when it is. */
  check(answer: SeenAnswer): string[];
  /** `get /api/v1/fleets` for every operation that an answer was checked for. */
  readonly seen: ReadonlySet<string>;
  /** Validates `value` against a schema of `components/schemas`. */
  checkSchema(title: string, value: unknown): string[];
  /** Validates a body against an answer of `components/responses`. */
  checkAnswer(name: string, mediaType: string, value: unknown): string[];
}

/** As much of OpenAPI as is looked at here. */
export interface ApiDocument {
  readonly paths: Record<string, Record<string, ApiOperation>>;
  readonly tags: readonly { readonly name: string }[];
  readonly components: Record<
    'schemas' | 'responses' | 'headers' | 'securitySchemes' | 'examples',
    Record<string, any>
  >;
}
export interface ApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly description?: string;
  readonly security: readonly Record<string, readonly string[]>[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: { readonly $ref?: string } }> };
  readonly parameters?: readonly { readonly name: string; readonly description?: string }[];
  readonly responses: Record<string, any>;
}

/** The document itself, and the pages that show it. */
const UNDESCRIBED = /^\/($|openapi\.json|docs)/;
const PROBLEM = '#/components/schemas/Problem';
/** What is answered where there is no operation: any code, as a problem document or as the family of the path has it. */
const NO_OPERATION = {
  headers: { 'X-Request-Id': {} },
  content: {
    'application/problem+json': { schema: { $ref: PROBLEM } },
    'application/json': { schema: { $ref: '#/components/schemas/ErrorEnvelope' } },
  },
};
let opened: Promise<ApiContract> | undefined;

/** The contract of this source tree, compiled once for all tests of a file. */
export function openApiContract(): Promise<ApiContract> {
  opened ??= openApiDocument().then((document) => createApiContract(document as ApiDocument));
  return opened;
}

export function createApiContract(document: ApiDocument): ApiContract {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  (formats as unknown as (instance: Ajv2020) => void)(ajv);
  ajv.addSchema(document, 'api');
  const compiled = new Map<string, ValidateFunction>();
  const validate = (pointer: string, value: unknown): string[] => {
    const check = compiled.get(pointer) ?? ajv.compile({ $ref: `api${pointer}` });
    compiled.set(pointer, check);
    void check(value);
    return (check.errors ?? []).map((error) => {
      const hint = error.instancePath === '/code' ? '; name it in the refusals of the route' : '';
      return `${error.instancePath || '/'} ${error.message}${hint} (${pointer}${error.schemaPath})`;
    });
  };
  const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({ method, path, pattern: patternOf(path), literals: literalsOf(path) })),
  );
  // What is written out wins over what is a parameter, as in the router.
  routes.sort((one, other) => other.literals - one.literals);
  const seen = new Set<string>();

  const answersTo = (method: string, path: string) => {
    const [bare] = path.split('?', 1) as [string];
    const route = routes.find((one) => one.method === method.toLowerCase() && one.pattern.test(bare));
    if (route === undefined) return { route: '(no such operation)', answer: NO_OPERATION as any };
    seen.add(`${route.method} ${route.path}`);
    const at = `#/paths/${escapePointer(route.path)}/${route.method}/responses`;
    return {
      route: `${route.method} ${route.path}`,
      at,
      responses: document.paths[route.path]![route.method]!.responses,
    };
  };

  return {
    seen,
    checkSchema: (title, value) => validate(`#/components/schemas/${title}`, value),
    checkAnswer: (name, type, value) =>
      validate(`#/components/responses/${name}/content/${escapePointer(type)}/schema`, value),
    check({ method, path, status, headers, text, json }) {
      if (UNDESCRIBED.test(path)) return [];
      const found = answersTo(method, path);
      const say = (problems: readonly string[]) =>
        problems.map((problem) => `${found.route} answered ${status}: ${problem}`);
      let { answer } = found;
      let pointer = '';
      if (found.responses !== undefined) {
        answer = found.responses[status];
        if (answer === undefined) {
          const code = (json as { code?: string } | null)?.code ?? '';
          return say([`the document names no such status; name ${code || 'its code'} in the refusals of the route`]);
        }
        pointer = `${found.at}/${status}`;
        if (answer.$ref !== undefined) {
          pointer = answer.$ref as string;
          answer = document.components.responses[pointer.split('/').at(-1)!];
        }
      }
      const problems: string[] = [];
      if (answer.headers?.['X-Request-Id'] !== undefined && !headers.has('x-request-id'))
        problems.push('there is no X-Request-Id');
      if (answer.headers?.Location !== undefined && !headers.has('location')) problems.push('there is no Location');
      if (answer.content === undefined)
        return say(text === '' ? problems : [...problems, 'the document says that there is no body']);
      const type = (headers.get('content-type') ?? '').split(';', 1)[0]!;
      if (!(type in answer.content))
        return say([...problems, `the document has no ${type || 'answer without a type'}`]);
      const schema =
        pointer === '' ? answer.content[type].schema.$ref : `${pointer}/content/${escapePointer(type)}/schema`;
      return say([...problems, ...validate(schema, /json/.test(type) ? json : text)]);
    },
  };
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{[^}]+\}/g, '[^/]+')}/?$`);
}

function literalsOf(path: string): number {
  return path.split('/').filter((part) => part !== '' && !part.startsWith('{')).length;
}

/** For a URI fragment: JSON Pointer's own escapes, then percent-encoding (braces are no URI characters). */
function escapePointer(token: string): string {
  return encodeURIComponent(token.replaceAll('~', '~0').replaceAll('/', '~1'));
}
