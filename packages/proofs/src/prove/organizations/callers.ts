import type { Operation } from './operations.ts';

/** A caller: its credential, and the roles or scopes that decide in the OpenAPI document what it may call. */
export interface Caller {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The security scheme of the credential. Null if there is none, or if it has expired or been revoked. */
  readonly scheme: 'session' | 'sessionToken' | 'partnerToken' | 'customerToken' | 'apiKey' | null;
  /** Roles or scopes. */
  readonly grants: readonly string[];
  /** The bearer token, for LiveFeed. */
  readonly token?: string;
  /** True if it may see only one plant of its organization. The other plant is then as foreign as another organization. */
  readonly isRestricted?: boolean;
}

const ROLES = ['VIEWER', 'OPERATOR', 'ADMIN'];

export function sessionCallers(role: string, token: string): Caller[] {
  const grants = ROLES.slice(0, ROLES.indexOf(role) + 1);
  const cookie = { cookie: `gladhand_session=${token}`, 'sec-fetch-site': 'same-origin' };
  return [
    { name: `session ${role}`, headers: bearer(token), scheme: 'sessionToken', grants, token },
    { name: `cookie ${role}`, headers: cookie, scheme: 'session', grants },
  ];
}

export function tokenCaller(
  audience: 'partner' | 'customer',
  what: string,
  token: string,
  grants: readonly string[],
  isRestricted = false,
): Caller {
  return {
    name: `${audience} ${what}`,
    headers: bearer(token),
    scheme: `${audience}Token`,
    grants,
    token,
    isRestricted,
  };
}

export function keyCaller(what: string, key: string, grants: readonly string[], isRestricted = false): Caller {
  return { name: `key ${what}`, headers: { 'x-api-key': key }, scheme: 'apiKey', grants, isRestricted };
}

export function deadCaller(name: string, token?: string): Caller {
  const credential = token === undefined ? {} : { headers: bearer(token), token };
  return { name, headers: {}, scheme: null, grants: [], ...credential };
}

export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

export function isAdmitted(operation: Operation, caller: Caller): boolean {
  if (operation.isPublic) return true;
  return operation.security.some(
    ([scheme, needs]) => scheme === caller.scheme && needs.every((need) => caller.grants.includes(need)),
  );
}
