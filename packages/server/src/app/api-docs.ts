import swagger from '@fastify/swagger';
import scalar from '@scalar/fastify-api-reference';
import type { ApiAddresses } from '../edge/api-addresses.ts';
import type { Http } from '../edge/http.ts';
import { describeRoute, finishDocument } from './api-document.ts';
import { AUTHENTICATION_TAG, withServers } from './api-servers.ts';
import { withOptionalBodies } from './optional-bodies.ts';

/**
 * OpenAPI 3.1 from the schemas that validate, and its pages. The pages' script comes from this server and everything
 * in them that would call out (fonts, telemetry, assistants) is off, so that /docs renders with no internet.
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
          'Partners send telemetry in their own JSON, customers read one canonical feed. Errors are RFC 9457 problem documents whose `code` never changes its meaning. LiveFeed is gRPC: see `gladhand.livefeed.v1`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-KEY',
            description:
              'A long-lived key. It is traded for an access token; where an operation lists it, it is also taken as it is.',
          },
          partnerToken: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'From POST /api/v1/partners/authenticate.',
          },
          customerToken: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'From POST /api/v1/customers/authenticate.',
          },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: 'gladhand_session',
            description: 'What a browser gets from POST /api/v1/auth/sign-in.',
          },
          sessionToken: {
            type: 'http',
            scheme: 'bearer',
            description: 'The same session for scripts: `accessToken` of POST /api/v1/auth/sign-in.',
          },
        },
      },
      tags: [
        { name: AUTHENTICATION_TAG, description: 'A key for a token' },
        { name: 'Partner intake', description: 'Telemetry in, receipts out' },
        { name: 'Fleets' },
        { name: 'Trailers' },
        { name: 'Devices' },
        { name: 'DeliverSafe' },
        { name: 'Telemetry', description: 'Records by time, by arrival, and the latest values' },
        { name: 'Plants', description: 'Energy sites: their records over time, and the latest values' },
        { name: 'Signing in', description: 'People: a session for a password, or through an identity provider' },
        { name: 'Organizations', description: 'Who the installation serves' },
        { name: 'Users', description: 'The people of an organization, and what they may do' },
        { name: 'API keys', description: 'Who may call, from where and for what; a key is shown once' },
        {
          name: 'Registration',
          description: 'What an organization owns: fleets, trailers, devices, DeliverSafe units, plants',
        },
        { name: 'Limits', description: 'How much may be used, what is left, and what was used; how operators set it' },
        {
          name: 'Audit log',
          description: 'Who did what, when and from where; chained, so that nothing can be changed unseen',
        },
        { name: 'Operations', description: 'Health and metrics' },
      ],
    },
  });
}

/**
 * The browser holds the pages to it as well: nothing is loaded from or sent to anywhere but here, and no other page
 * shows them in a frame. The page starts its script in line, and the script writes styles.
 */
const PAGES_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-inline'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** After all routes: the document and the pages that show it. */
export async function serveApiDocs(http: Http, addresses: ApiAddresses): Promise<void> {
  http.get('/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, async (request) =>
    withServers(http.swagger(), addresses, request),
  );
  // Browsers ask for it on every page; a 404 would stand in their console as an error.
  http.get('/favicon.ico', { config: { access: 'public' }, schema: { hide: true } }, (_request, reply) =>
    reply.code(204).header('cache-control', 'public, max-age=86400').send(),
  );
  await http.register(async (pages) => {
    pages.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', PAGES_POLICY);
    });
    await pages.register(scalar, {
      routePrefix: '/docs',
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
