import type { FastifyRequest } from 'fastify';
import type { ApiAddresses } from '../edge/api-addresses.ts';

/** The tag of the operations of the authentication API. */
export const AUTHENTICATION_TAG = 'Authentication';

/** The parts of the OpenAPI document that are used here. */
interface ApiDocument {
  readonly servers?: readonly object[] | undefined;
  readonly paths?: Readonly<Record<string, object | undefined>> | undefined;
}

/**
 * Adds the `servers` to the OpenAPI document, as the caller reaches them. If the authentication API has its own port, its
 * paths get their own server. With one port and no public URL, the server is the one that the document was requested from.
 */
export function withServers(document: ApiDocument, addresses: ApiAddresses, request: FastifyRequest): object {
  const integration = addresses.urlOf('integration', request);
  if (integration === '') return document;
  const servers = [{ url: addresses.urlOf('authentication', request) }];
  const paths = Object.entries(document.paths ?? {}).map(([path, item]) =>
    addresses.isSplit && isAuthentication(item) ? [path, { ...item, servers }] : [path, item],
  );
  return { ...document, servers: [{ url: integration }], paths: Object.fromEntries(paths) as object };
}

function isAuthentication(item: object | undefined): boolean {
  const operations = Object.values(item ?? {}) as { readonly tags?: readonly string[] }[];
  return operations.some(({ tags }) => tags?.includes(AUTHENTICATION_TAG));
}
