import { STATUS_CODES } from 'node:http';
import { EXAMPLES } from '@gladhand/contract/examples.ts';
import { REQUEST_EXAMPLES } from '@gladhand/contract/request-examples.ts';
import type { FastifySchema, RouteOptions } from 'fastify';
import type { RouteAccess } from '../edge/guard.ts';
import { refusalsOf } from '../edge/route-refusals.ts';
import type { Json, JsonObject } from './api-json.ts';
import { headerReferences, REFUSAL_SCHEMAS, type Refusals, refusalAnswers } from './api-refusals.ts';

/**
 * Completes the OpenAPI document. From a route's declarations, each operation gets its security, its possible refusals and
 * the headers of its answers. A schema with a title is written once, under `components/schemas`, so that the document stays
 * small and generated clients have named types. Throws if two different schemas have the same title, or if an operation has
 * no name.
 */
export interface RouteSchema extends FastifySchema {
  readonly operationId?: string;
  readonly description?: string;
  readonly security?: readonly Record<string, readonly string[]>[];
  readonly response?: Readonly<Record<string, unknown>>;
  readonly hide?: boolean;
}

/** Key of the data that `describeRoute` passes to `finishDocument`, which removes it. */
const FACTS = 'x-facts';
interface Facts extends Refusals {
  readonly isLimited: boolean;
}

/** Adds to a route's schema what follows from its path and access. Throws if the route has no `operationId`. */
export function describeRoute({ schema, url, route }: { schema?: RouteSchema; url: string; route: RouteOptions }): {
  schema: RouteSchema;
  url: string;
} {
  if (schema?.hide) return { schema, url };
  if (schema?.operationId === undefined)
    throw new Error(
      `${String(route.method)} ${url} has no name: set schema.operationId to a verb and its object, such as listFleets`,
    );
  const { config } = route;
  const access = config?.access;
  const needs = access === undefined || access === 'public' ? [] : needsOf(access);
  const description = [schema.description, ...needs].filter((text) => text !== undefined).join(' ');
  const facts: Facts = {
    codes: refusalsOf(route),
    family: config?.errors ?? 'problem',
    isLimited: config?.limit !== undefined && config.limit !== 'none',
  };
  const { refusals: _codes, ...rest } = schema;
  return {
    schema: {
      ...rest,
      ...(description !== '' && { description }),
      security: access === undefined || access === 'public' ? (schema.security ?? []) : securityOf(access),
      [FACTS]: facts,
    } as RouteSchema,
    url,
  };
}

/** The security of an operation. In OpenAPI 3.1 the list names the needed roles and scopes, also for non-OAuth schemes. */
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

const OPERATIONS = ['get', 'put', 'post', 'delete', 'patch'];
export const HEADERS = {
  'X-Request-Id': {
    description: 'The id of this request, as in the server log. Give it when you ask for help.',
    schema: { type: 'string', format: 'uuid' },
  },
  'WWW-Authenticate': { description: 'The credential that is needed.', schema: { type: 'string' } },
  'Retry-After': {
    description: 'Seconds to wait before the next attempt. Sent only if waiting helps.',
    schema: { type: 'integer', minimum: 1 },
  },
  'RateLimit-Policy': {
    description:
      'The limits that apply to this request, also on 2xx answers: `"<name>";q=<quota>;w=<seconds>` (draft-ietf-httpapi-ratelimit-headers-11).',
    schema: { type: 'string' },
  },
  RateLimit: {
    description: 'What is left of the limits: `"<name>";r=<remaining>;t=<seconds until more>`.',
    schema: { type: 'string' },
  },
  Location: { description: 'The path of the created resource.', schema: { type: 'string' } },
};

/** Turns the document that the plugin made into the one that is served and committed. Does not change its argument. */
export function finishDocument(document: object): object {
  // A copy, because the document shares its schemas with the validators.
  const copy = JSON.parse(JSON.stringify(document)) as JsonObject;
  const schemas: JsonObject = {};
  const [responses, examples]: [JsonObject, JsonObject] = [{}, {}];
  const paths = liftSchemas(copy['paths']!, schemas) as JsonObject;
  liftSchemas(JSON.parse(JSON.stringify(REFUSAL_SCHEMAS)), schemas);
  for (const operation of operationsOf(paths)) finishAnswers(operation, { responses, examples });
  const components = copy['components'] as JsonObject;
  return {
    ...copy,
    paths,
    components: {
      ...components,
      schemas: sorted({ ...(components['schemas'] as JsonObject), ...withExamples(schemas) }),
      responses: sorted(responses),
      examples: sorted(examples),
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

/** Keywords whose values are data. A `title` in them is not a schema title. */
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
    throw new Error(`two different schemas have the title ${title}: give one of them another title`);
  }
  schemas[title] = lifted;
  return { $ref: `#/components/schemas/${title}` };
}

const ALL_EXAMPLES: Readonly<Record<string, Json>> = JSON.parse(JSON.stringify({ ...EXAMPLES, ...REQUEST_EXAMPLES }));

function withExamples(schemas: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(schemas).map(([title, schema]) => {
      const example = ALL_EXAMPLES[title];
      return [title, example === undefined ? schema : { ...(schema as JsonObject), examples: [example] }];
    }),
  );
}

function finishAnswers(operation: JsonObject, components: { responses: JsonObject; examples: JsonObject }): void {
  const { [FACTS]: facts } = operation as { [FACTS]?: Facts };
  const answers = operation['responses'] as JsonObject;
  for (const [status, found] of Object.entries(answers)) {
    const answer = found as JsonObject;
    const names = [
      ...(status === '201' || status === '202' ? ['Location'] : []),
      'X-Request-Id',
      ...(facts?.isLimited ? ['RateLimit-Policy', 'RateLimit'] : []),
    ];
    const description = answer['description'] === 'Default Response' ? STATUS_CODES[status]! : answer['description']!;
    const headers = { ...(answer['headers'] as JsonObject | undefined), ...headerReferences(names) };
    answers[status] = { ...answer, description, headers };
  }
  delete operation[FACTS];
  if (facts !== undefined) Object.assign(answers, refusalAnswers(facts, components));
}

function sorted(entries: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(entries).sort(([one], [other]) => (one < other ? -1 : 1)));
}
