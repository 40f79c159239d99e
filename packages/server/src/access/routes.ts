import { Fault } from '@gladhand/base/fault.ts';
import { IssuedTokenBody, JwksBody } from '@gladhand/contract/access.ts';
import { RotatedKeySchema, RotateKeyBody } from '@gladhand/contract/api-keys.ts';
import type { FastifyRequest } from 'fastify';
import { principalOf } from '../edge/guard.ts';
import { type Http, overlapHeaders } from '../edge/http.ts';
import type { Access } from './access.ts';
import type { Audience } from './principal.ts';

/** The doors of authentication: a key is traded for a token, the public signing keys are published. */
export function registerAccessRoutes(http: Http, parts: { access: Access }): void {
  for (const audience of ['partner', 'customer'] as const) {
    http.post(
      `/api/v1/${audience}s/authenticate`,
      {
        config: { access: 'public', limit: 'authenticate', api: 'authentication' },
        schema: {
          operationId: audience === 'partner' ? 'authenticatePartner' : 'authenticateCustomer',
          refusals: ['unauthorized', 'invalid-api-key', 'address-not-allowed', 'temporarily-unavailable'],
          tags: ['Authentication'],
          summary: `Trade a ${audience} API key for an access token`,
          description: 'Send the key as `X-API-KEY`. Cache the token and renew it before `expiresAt`.',
          security: [{ apiKey: [] }],
          response: { 200: IssuedTokenBody },
        },
      },
      async (request, reply) => {
        const issued = await parts.access.exchange(audience, apiKeyOf(request, audience), request.ip);
        if (issued.overlap) reply.headers(overlapHeaders(issued.overlap));
        return {
          accessToken: issued.accessToken,
          tokenType: 'Bearer' as const,
          expiresIn: issued.expiresInSeconds,
          expiresAt: new Date(issued.expiresAtMs).toISOString(),
          scopes: [...issued.scopes],
        };
      },
    );
    http.put(
      `/api/v1/${audience}s/rotate`,
      {
        config: { access: { audience, scopes: [] }, limit: 'rotate', api: 'authentication' },
        schema: {
          operationId: audience === 'partner' ? 'rotatePartnerKey' : 'rotateCustomerKey',
          refusals: ['rotation-in-progress'],
          tags: ['Authentication'],
          summary: `Rotate the ${audience} API key behind the token`,
          description:
            'The new key is answered once: store it before you use it. Without `overlapSeconds` the old key and every token made with it die with this answer; with it both are good until then, and answers to the old one carry `Deprecation` and `Sunset`.',
          security: [{ bearer: [] }],
          body: RotateKeyBody,
          response: { 200: RotatedKeySchema },
        },
      },
      async (request) => {
        const { overlapSeconds = 0 } = request.body;
        const rotated = await parts.access.rotate(principalOf(request), {
          overlapSeconds,
          address: request.ip,
          requestId: request.id,
        });
        return { ...rotated, previousKeyExpiresAt: rotated.previousKeyExpiresAt.toISOString() };
      },
    );
  }
  http.get(
    '/.well-known/jwks.json',
    {
      config: { access: 'public', api: 'authentication' },
      schema: {
        operationId: 'getTokenKeys',
        tags: ['Authentication'],
        summary: 'The public keys that access tokens are signed with',
        response: { 200: JwksBody },
      },
    },
    async (_request, reply) => {
      // 300 s: a new key is published twice as long before it signs.
      reply.header('cache-control', 'public, max-age=300');
      return parts.access.jwks() as { keys: Record<string, unknown>[] };
    },
  );
}

function apiKeyOf(request: FastifyRequest, audience: Audience): string {
  const header = request.headers['x-api-key'];
  if (typeof header !== 'string' || header === '') {
    throw new Fault('unauthorized', `Send your ${audience} API key in the header X-API-KEY.`);
  }
  return header;
}
