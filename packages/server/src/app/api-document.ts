import { EXAMPLES } from '@gladhand/contract/examples.ts';
import { ProblemSchema } from '@gladhand/contract/problem.ts';
import type { FastifySchema, RouteOptions } from 'fastify';
import type { RouteAccess } from '../edge/guard.ts';

/**
 * What every operation of the OpenAPI document gets without its route saying so: a name, who may call it, the answers
 * to what goes wrong, the headers of every answer. And every schema that has a title is written once, under
 * `components/schemas`, so that the document stays small and generated clients get types with names. Promise: two
 * different schemas never share a title; the document is refused when they do.
 */
export interface RouteSchema extends FastifySchema {
  readonly operationId?: string;
  readonly description?: string;
  readonly security?: readonly Record<string, readonly string[]>[];
  readonly response?: Readonly<Record<string, unknown>>;
  readonly hide?: boolean;
}

/** Adds to a route's schema what follows from its path and its access. */
export function describeRoute({ schema, url, route }: { schema?: RouteSchema; url: string; route: RouteOptions }): {
  schema: RouteSchema;
  url: string;
} {
  if (schema?.hide) return { schema, url };
  const access = route.config?.access;
  const needs = access === undefined || access === 'public' ? [] : needsOf(access);
  const description = [schema?.description, ...needs].filter((text) => text !== undefined).join(' ');
  const problem = { content: { 'application/problem+json': { schema: ProblemSchema } } };
  return {
    schema: {
      ...schema,
      operationId: schema?.operationId ?? operationIdOf([route.method].flat()[0] ?? 'GET', url),
      ...(description !== '' && { description }),
      security: access === undefined || access === 'public' ? (schema?.security ?? []) : securityOf(access),
      response: { '4XX': problem, '5XX': problem, ...schema?.response },
    },
    url,
  };
}

/** GET /api/v1/organizations/:organization/users -> getOrganizationsByOrganizationUsers. */
function operationIdOf(method: string, url: string): string {
  const words = url
    .replace(/^\/api\/v1/, '')
    .split('/')
    .filter((part) => part !== '');
  const pascal = (text: string) =>
    text.replace(/(?:^|[^A-Za-z0-9]+)([A-Za-z0-9])/g, (_, first: string) => first.toUpperCase());
  return (
    method.toLowerCase() +
    words.map((word) => (word.startsWith(':') ? `By${pascal(word.slice(1))}` : pascal(word))).join('')
  );
}

/** For schemes that are not OAuth, OpenAPI 3.1 lets the list name the roles and scopes that are needed. */
function securityOf(access: RouteAccess): Record<string, readonly string[]>[] {
  const scopes = [...(access.scopes ?? [])];
  const audiences =
    access.audience === 'any'
      ? (['partner', 'customer'] as const)
      : access.audience === undefined
        ? []
        : [access.audience];
  return [
    ...audiences.map((audience) => ({ [`${audience}Token`]: scopes })),
    ...(access.takesApiKey ? [{ apiKey: scopes }] : []),
    ...(access.role === undefined ? [] : [{ session: [access.role] }, { sessionToken: [access.role] }]),
  ];
}

function needsOf(access: RouteAccess): string[] {
  const scopes = (access.scopes ?? []).map((scope) => `\`${scope}\``);
  return [
    ...(scopes.length === 0 ? [] : [`A key needs the scope${scopes.length > 1 ? 's' : ''} ${scopes.join(' and ')}.`]),
    ...(access.role === undefined ? [] : [`A person needs the role \`${access.role}\`.`]),
  ];
}

/** As much of JSON as is looked at here. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
interface JsonObject {
  [key: string]: Json;
}

const OPERATIONS = ['get', 'put', 'post', 'delete', 'patch'];
const WRONG: Readonly<Record<string, { name: string; description: string }>> = {
  '4XX': { name: 'Refused', description: 'The request was refused: what is wrong with it, and where' },
  '5XX': { name: 'Failed', description: 'The request could not be served; `retryable` tells whether to try again' },
};
const REQUEST_ID = { 'X-Request-Id': { $ref: '#/components/headers/RequestId' } };
const RETRY_AFTER = { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } };
const RATE_LIMIT = {
  'RateLimit-Policy': { $ref: '#/components/headers/RateLimitPolicy' },
  RateLimit: { $ref: '#/components/headers/RateLimit' },
};
const LOCATION = { Location: { $ref: '#/components/headers/Location' } };

export const HEADERS = {
  RequestId: {
    description: 'The id of this request, as in the log. Quote it when you ask for help.',
    schema: { type: 'string', format: 'uuid' },
  },
  RetryAfter: {
    description: 'Seconds to wait before trying again, where waiting helps.',
    schema: { type: 'integer', minimum: 1 },
  },
  RateLimitPolicy: {
    description:
      'The limits that this request is under, also on answers of 2xx: `"<name>";q=<quota>;w=<seconds>` (draft-ietf-httpapi-ratelimit-headers-11).',
    schema: { type: 'string' },
  },
  RateLimit: {
    description: 'How they stand: `"<name>";r=<remaining>;t=<seconds until more>`.',
    schema: { type: 'string' },
  },
  Location: { description: 'The path of what was made.', schema: { type: 'string' } },
};

/** Takes the document as the plugin made it; gives the one that is served and committed. */
export function finishDocument(document: object): object {
  // Copied: the schemas in it are those that validate, and are shared.
  const copy = JSON.parse(JSON.stringify(document)) as JsonObject;
  const schemas: JsonObject = {};
  const responses: JsonObject = {};
  const paths = liftSchemas(copy['paths']!, schemas) as JsonObject;
  for (const operation of operationsOf(paths)) shareAnswers(operation, responses);
  const components = copy['components'] as JsonObject;
  return {
    ...copy,
    paths,
    components: {
      ...components,
      schemas: sorted({ ...(components['schemas'] as JsonObject), ...withExamples(schemas) }),
      responses: sorted(responses),
      headers: HEADERS,
    },
  };
}

function operationsOf(paths: JsonObject): JsonObject[] {
  return Object.values(paths).flatMap((path) =>
    Object.entries(path as JsonObject).flatMap(([method, operation]) =>
      OPERATIONS.includes(method) ? [operation as JsonObject] : [],
    ),
  );
}

/** Their values are data, in which `title` means nothing. */
const DATA = ['example', 'examples', 'default', 'const', 'enum'];

function liftSchemas(value: Json, schemas: JsonObject): Json {
  if (Array.isArray(value)) return value.map((item) => liftSchemas(item, schemas));
  if (value === null || typeof value !== 'object') return value;
  const lifted: JsonObject = {};
  for (const [key, child] of Object.entries(value))
    lifted[key] = DATA.includes(key) ? child : liftSchemas(child, schemas);
  const { title } = lifted;
  if (typeof title !== 'string') return lifted;
  const known = schemas[title];
  if (known !== undefined && JSON.stringify(known) !== JSON.stringify(lifted)) {
    throw new Error(`two different schemas have the title ${title}: give one of them another`);
  }
  schemas[title] = lifted;
  return { $ref: `#/components/schemas/${title}` };
}

function withExamples(schemas: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(schemas).map(([title, schema]) => {
      const example = EXAMPLES[title as keyof typeof EXAMPLES] as Json | undefined;
      return [title, example === undefined ? schema : { ...(schema as JsonObject), examples: [example] }];
    }),
  );
}

function shareAnswers(operation: JsonObject, responses: JsonObject): void {
  const answers = operation['responses'] as JsonObject;
  for (const [status, found] of Object.entries(answers)) {
    const answer = found as JsonObject;
    const wrong = WRONG[status];
    if (wrong === undefined) {
      const made = status === '201' || status === '202' ? LOCATION : {};
      answers[status] = {
        ...answer,
        headers: { ...(answer['headers'] as JsonObject | undefined), ...made, ...REQUEST_ID },
      };
      continue;
    }
    const name = `${wrong.name}${familyOf(answer)}`;
    responses[name] = {
      description: wrong.description,
      headers: { ...REQUEST_ID, ...RETRY_AFTER, ...(status === '4XX' && RATE_LIMIT) },
      content: answer['content'] ?? {},
    };
    answers[status] = { $ref: `#/components/responses/${name}` };
  }
}

/** Refusals come in two shapes; the problem document is the one without a name of its own. */
function familyOf(answer: JsonObject): string {
  const content = answer['content'] as JsonObject | undefined;
  return content !== undefined && 'application/json' in content ? 'InEnvelope' : '';
}

function sorted(entries: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(entries).sort(([one], [other]) => (one < other ? -1 : 1)));
}
