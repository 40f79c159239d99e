import {
  ApiKeyChangeBody,
  ApiKeyPageQuery,
  ApiKeyPageSchema,
  ApiKeySchema,
  CreatedApiKeySchema,
  NewApiKeyBody,
  RevokedApiKeySchema,
} from '@gladhand/contract/api-keys.ts';
import type { ErrorCode } from '@gladhand/contract/errors.ts';
import type { FastifyRequest } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { type GetReachable, OrganizationParams, originOf, personSchema } from '../edge/person-route.ts';
import type { ErrorFamily } from '../edge/problem.ts';
import type { ApiKeys, KeyOwner } from './administer-keys.ts';
import type { Role } from './principal.ts';

/**
 * The doors of API-key administration, twice: `/partner/api-keys` for the caller's own organization, whose errors are
 * envelopes, and under an organization's name, for the platform operator too, whose errors are problem documents.
 */
export interface ApiKeyRoutesParts {
  readonly apiKeys: ApiKeys;
  readonly getReachable: GetReachable;
}

export function registerApiKeyRoutes(http: Http, parts: ApiKeyRoutesParts): void {
  mount(http, parts.apiKeys, {
    base: '/partner/api-keys',
    errors: 'envelope',
    noun: 'ApiKey',
    refusals: [],
    path: {},
    ownerOf: async (request) => {
      const { organizationId: id, organizationKind: kind } = personOf(request);
      return { id, kind };
    },
  });
  mount(http, parts.apiKeys, {
    base: '/organizations/:organization/api-keys',
    errors: 'problem',
    noun: 'OrganizationApiKey',
    refusals: ['not-found'],
    path: OrganizationParams.properties,
    ownerOf: (request) =>
      parts.getReachable(personOf(request), (request.params as { organization: string }).organization),
  });
}

interface Mount {
  readonly base: string;
  readonly errors: ErrorFamily;
  /** As it stands in the names of its operations. */
  readonly noun: string;
  /** What finding the organization can be refused with. */
  readonly refusals: readonly ErrorCode[];
  readonly path: Record<string, TSchema>;
  readonly ownerOf: (request: FastifyRequest) => Promise<KeyOwner>;
}

const OF_ONE: readonly ErrorCode[] = ['invalid-uuid', 'api-key-not-found'];

function mount(http: Http, apiKeys: ApiKeys, at: Mount): void {
  mountAll(http, apiKeys, at);
  mountOne(http, apiKeys, at);
}

const configOf = ({ errors }: Mount, role: Role) => ({ access: { role }, errors });

function schemaOf<Answers extends Record<number, TSchema>>(
  { refusals }: Mount,
  operationId: string,
  summary: string,
  answers: Answers,
  own: readonly ErrorCode[] = [],
) {
  return { operationId, refusals: [...refusals, ...own], ...personSchema('API keys', summary, answers) };
}

function mountAll(http: Http, apiKeys: ApiKeys, at: Mount): void {
  const { base, noun, path, ownerOf } = at;
  const params = Type.Object(path);
  http.get(
    base,
    {
      config: configOf(at, 'VIEWER'),
      schema: {
        ...schemaOf(at, `list${noun}s`, 'List API keys for the organization', { 200: ApiKeyPageSchema }),
        params,
        querystring: ApiKeyPageQuery,
      },
    },
    async (request) => apiKeys.list(await ownerOf(request), request.query),
  );
  http.post(
    base,
    {
      config: configOf(at, 'ADMIN'),
      schema: {
        ...schemaOf(at, `create${noun}`, 'Create a new API key (plaintext returned once)', {
          201: CreatedApiKeySchema,
        }),
        params,
        body: NewApiKeyBody,
      },
    },
    async (request, reply) => {
      const created = await apiKeys.create(personOf(request), await ownerOf(request), request.body, originOf(request));
      reply.code(201).header('location', `${request.url.split('?', 1)[0]?.replace(/\/$/, '')}/${created.apiKey.id}`);
      return created;
    },
  );
}

function mountOne(http: Http, apiKeys: ApiKeys, at: Mount): void {
  const { noun, ownerOf } = at;
  const one = `${at.base}/:id`;
  const keyParams = Type.Object({ ...at.path, id: Type.String({ description: 'The id of an API key.' }) });
  const idOf = (request: FastifyRequest) => (request.params as { id: string }).id;
  http.get(
    one,
    {
      config: configOf(at, 'VIEWER'),
      schema: { ...schemaOf(at, `get${noun}`, 'One API key', { 200: ApiKeySchema }, OF_ONE), params: keyParams },
    },
    async (request) => apiKeys.get(await ownerOf(request), idOf(request)),
  );
  http.patch(
    one,
    {
      config: configOf(at, 'ADMIN'),
      schema: {
        ...schemaOf(at, `update${noun}`, 'Change the restrictions of an API key', { 200: ApiKeySchema }, [
          ...OF_ONE,
          'api-key-revoked',
        ]),
        description: 'Counts at the next request; streams that may not go on end within a second.',
        params: keyParams,
        body: ApiKeyChangeBody,
      },
    },
    async (request) => apiKeys.change(await ownerOf(request), idOf(request), request.body, originOf(request)),
  );
  http.delete(
    one,
    {
      config: configOf(at, 'ADMIN'),
      schema: {
        ...schemaOf(at, `revoke${noun}`, 'Revoke an API key', { 200: RevokedApiKeySchema }, OF_ONE),
        description: 'For good: the key, its tokens and its streams end. A key that was revoked before stays revoked.',
        params: keyParams,
      },
    },
    async (request) => {
      const isNews = await apiKeys.revoke(await ownerOf(request), idOf(request), originOf(request));
      return { message: isNews ? 'API key revoked' : 'API key was revoked before' };
    },
  );
}
