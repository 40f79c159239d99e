import swagger from '@fastify/swagger';
import scalar from '@scalar/fastify-api-reference';
import type { ApiAddresses } from '../edge/api-addresses.ts';
import { cachedPages } from '../edge/cached-pages.ts';
import type { Http } from '../edge/http.ts';
import { sendJson } from '../edge/json.ts';
import { pagePolicy } from '../edge/page-policy.ts';
import { describeRoute, finishDocument } from './api-document.ts';
import { AUTHENTICATION_TAG, withServers } from './api-servers.ts';
import { withOptionalBodies } from './optional-bodies.ts';

/**
 * Registers the OpenAPI 3.1 document, made from the schemas that validate requests. The pages that show it need no internet:
 * their script comes from this server, and everything that would call another server (fonts, telemetry, assistants) is off.
 */
export async function registerApiDocs(http: Http, version: string): Promise<void> {
  await http.register(swagger, {
    transform: describeRoute as never,
    transformObject: ((made: { openapiObject: object }) =>
      finishDocument(withOptionalBodies(made.openapiObject))) as never,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Gladhand',
        version,
        description:
          'Partners send telemetry in their own JSON, customers read one canonical feed. Errors are RFC 9457 problem documents whose `code` never changes its meaning. LiveFeed is gRPC: [clients and contract](/docs/guides/livefeed). Guides, and the schema of your own product, are in the [documentation](/docs).',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This installation' }],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-KEY',
            description:
              'A long-lived key. Exchange it for an access token. Operations that list this scheme also accept the key itself.',
          },
          partnerToken: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The access token from POST /api/v1/partners/authenticate.',
          },
          customerToken: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The access token from POST /api/v1/customers/authenticate.',
          },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: 'gladhand_session',
            description: 'The session cookie that a browser gets from POST /api/v1/auth/sign-in.',
          },
          sessionToken: {
            type: 'http',
            scheme: 'bearer',
            description: 'The same session for scripts: `accessToken` from POST /api/v1/auth/sign-in.',
          },
        },
      },
      tags: [
        { name: AUTHENTICATION_TAG, description: 'Exchange a key for an access token' },
        { name: 'Partner intake', description: 'Telemetry in, receipts out' },
        { name: 'Fleets', description: 'Groups of trailers and delivery vehicles' },
        { name: 'Trailers', description: 'Trailers, by fleet or one by one' },
        { name: 'Devices', description: 'Devices that are mounted on an asset and measure' },
        {
          name: 'DeliverSafe',
          description: 'DeliverSafe units: delivery vehicles with doors, liftgate, backup sensors and cameras',
        },
        { name: 'Telemetry', description: 'Records by time, by arrival, and the latest values' },
        { name: 'Plants', description: 'Energy sites: their records over time, and the latest values' },
        { name: 'Signing in', description: 'Sessions for people, by password or through an identity provider' },
        { name: 'Organizations', description: 'The organizations of the installation' },
        { name: 'Users', description: 'The people of an organization, and what they may do' },
        { name: 'API keys', description: 'Who may call, from where and for what; a key is shown once' },
        {
          name: 'Registration',
          description: 'What an organization owns: fleets, trailers, devices, DeliverSafe units, plants',
        },
        { name: 'Limits', description: 'How much may be used, what is left, and what was used; how operators set it' },
        {
          name: 'Audit log',
          description: 'Who did what, when and from where; chained, so that every later change can be detected',
        },
        { name: 'Operations', description: 'Health and metrics' },
      ],
    },
  });
}

/** Serves the document and its pages. Call it after all routes. The pages need inline scripts and inline styles. */
export async function serveApiDocs(http: Http, addresses: ApiAddresses): Promise<void> {
  // Browsers request it for every page. A 404 would be shown as an error in their console.
  http.get('/favicon.ico', { config: { access: 'public' }, schema: { hide: true } }, (_request, reply) =>
    reply.code(204).header('cache-control', 'public, max-age=86400').send(),
  );
  await http.register(async (pages) => {
    await pages.register(cachedPages);
    pages.get('/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, (request, reply) =>
      sendJson(reply, JSON.stringify(withServers(http.swagger(), addresses, request))),
    );
    pages.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', pagePolicy({ allowsInline: true }));
    });
    await pages.register(scalar, {
      routePrefix: '/docs/api',
      configuration: {
        url: '/openapi.json',
        title: 'Gladhand API',
        pageTitle: 'Gladhand API',
        withDefaultFonts: false,
        telemetry: false,
        showDeveloperTools: 'never',
        agent: { disabled: true },
        mcp: { disabled: true },
        hideClientButton: true,
      },
    });
  });
}
