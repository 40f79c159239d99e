import { Fault } from '@gladhand/base/fault.ts';
import { EnvelopeSchema } from '@gladhand/contract/api-keys.ts';
import { ERRORS, type ErrorCode, type ErrorEntry } from '@gladhand/contract/errors.ts';
import { EXAMPLE_REQUEST, REFUSAL_EXAMPLES } from '@gladhand/contract/examples.ts';
import { ProblemSchema } from '@gladhand/contract/problem.ts';
import { type ErrorFamily, renderFault } from '../edge/problem.ts';
import { BEFORE_ROUTE } from '../edge/route-refusals.ts';
import type { Json, JsonObject } from './api-json.ts';

/**
 * The OpenAPI components for refusals. Each operation lists the statuses it can answer. Each status lists its possible codes,
 * with an example for each code. Operations with the same codes share one component, which is named after the status and
 * codes: `404.not-found`. So its name changes only if the codes change.
 */
export interface Refusals {
  readonly codes: readonly ErrorCode[];
  readonly family: ErrorFamily;
}

/** The schemas of refusals. */
export const REFUSAL_SCHEMAS = [ProblemSchema, EnvelopeSchema];

const MEDIA = { problem: 'application/problem+json', envelope: 'application/json' } as const;
const SCHEMA = { problem: 'Problem', envelope: 'ErrorEnvelope' } as const;
/** Node sends these before there is a request with an id. */
const WITHOUT_REQUEST: ReadonlySet<ErrorCode> = new Set(['body-timeout', 'headers-too-large']);

/** Maps each status to a reference to its component. Adds missing components and examples to `refusals`. */
export function refusalAnswers(
  { codes, family }: Refusals,
  components: { responses: JsonObject; examples: JsonObject },
): JsonObject {
  const answers: JsonObject = {};
  for (const status of new Set(codes.map((code) => ERRORS[code].status).sort())) {
    const own = codes.filter((code) => ERRORS[code].status === status).sort();
    const content = contentOf(own, { family, takesBody: codes.includes('body-too-large') }, components.examples);
    const name = [status, ...own, ...(MEDIA.envelope in content ? ['envelope'] : [])].join('.');
    components.responses[name] ??= {
      description: own.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' '),
      headers: headersOf(status, own),
      content,
    };
    answers[status] = { $ref: `#/components/responses/${name}` };
  }
  return answers;
}

function contentOf(
  codes: readonly ErrorCode[],
  { family, takesBody }: { family: ErrorFamily; takesBody: boolean },
  examples: JsonObject,
): JsonObject {
  const isProblem = (code: ErrorCode) => family === 'problem' || BEFORE_ROUTE.has(code);
  // The route is known when the length of a body is checked.
  const isEnvelope = (code: ErrorCode) =>
    family === 'envelope' && (!BEFORE_ROUTE.has(code) || (code === 'malformed-request' && takesBody));
  const content: JsonObject = {};
  for (const [shape, chosen] of [
    ['problem', codes.filter(isProblem)],
    ['envelope', codes.filter(isEnvelope)],
  ] as const) {
    if (chosen.length === 0) continue;
    content[MEDIA[shape]] = {
      schema: schemaOf(shape, chosen),
      examples: Object.fromEntries(chosen.map((code) => [code, exampleOf(code, shape, examples)])),
    };
  }
  return content;
}

function schemaOf(shape: ErrorFamily, codes: readonly ErrorCode[]): JsonObject {
  const own: Json[] = [...new Set(codes.map((code) => rendered(code, shape)['code']!))];
  return {
    allOf: [
      { $ref: `#/components/schemas/${SCHEMA[shape]}` },
      { type: 'object', properties: { code: { type: 'string', enum: own } } },
    ],
  };
}

function exampleOf(code: ErrorCode, shape: ErrorFamily, examples: JsonObject): JsonObject {
  const name = shape === 'problem' ? code : `${code}.envelope`;
  examples[name] ??= { summary: ERRORS[code].title, value: rendered(code, shape) };
  return { $ref: `#/components/examples/${name}` };
}

/** An example of a refusal, rendered by the server's own code. */
function rendered(code: ErrorCode, shape: ErrorFamily): JsonObject {
  const { title }: ErrorEntry = ERRORS[code];
  const { detail = `${title}.`, ...rest } = REFUSAL_EXAMPLES[code] ?? {};
  return JSON.parse(renderFault(new Fault(code, detail, rest), EXAMPLE_REQUEST, shape).body);
}

function headersOf(status: number, codes: readonly ErrorCode[]): JsonObject {
  const names = [
    ...(codes.every((code) => WITHOUT_REQUEST.has(code)) ? [] : ['X-Request-Id']),
    ...(status === 401 ? ['WWW-Authenticate'] : []),
    ...(status === 429 || status === 503 ? ['Retry-After'] : []),
    ...(status === 429 ? ['RateLimit-Policy', 'RateLimit'] : []),
  ];
  return headerReferences(names);
}

/** The `headers` of an OpenAPI answer: a reference for each name. */
export function headerReferences(names: readonly string[]): JsonObject {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
