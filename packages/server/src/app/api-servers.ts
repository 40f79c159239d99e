import type { FastifyRequest } from 'fastify';
import type { ApiAddresses } from '../edge/api-addresses.ts';

/** Of the operations of the authentication API. */
export const AUTHENTICATION_TAG = 'Authentication';

/** As much of the document as is looked at here. */
interface ApiDocument {
  readonly servers?: readonly object[] | undefined;
  readonly paths?: Readonly<Record<string, object | undefined>> | undefined;
}

/**
 * Says in the OpenAPI document where the APIs are, as the caller reaches them: with two ports, the paths of the
 * authentication API have a server of their own. With one port and no public URL it is where the document came from.
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
