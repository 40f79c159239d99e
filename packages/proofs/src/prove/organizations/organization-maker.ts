import { bearer } from './callers.ts';
import type { HttpClient } from './http-client.ts';
import type { Operation } from './operations.ts';

/** The password of every user that is created here. */
export const PASSWORD = 'correct horse battery';
export const CUSTOMER_SCOPES = [
  'fleets:read',
  'trailers:read',
  'devices:read',
  'deliversafe:read',
  'telemetry:read',
  'plants:read',
  'livefeed:connect',
];

export interface Api {
  /** Returns the parsed body of a 2xx. Throws on any other answer. */
  call(
    method: string,
    path: string,
    options?: { token?: string; headers?: Record<string, string>; body?: unknown },
  ): Promise<any>;
}

export function createApi(http: HttpClient): Api {
  return {
    async call(method, path, { token, headers = {}, body } = {}) {
      const answer = await http.send({
        method,
        path: `/api/v1${path}`,
        headers: {
          ...(token !== undefined && bearer(token)),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
      return answer.body === '' ? null : JSON.parse(answer.body);
    },
  };
}

export interface Surroundings {
  readonly api: Api;
  readonly http: HttpClient;
  readonly operations: readonly Operation[];
  /** The session token of the platform operator. */
  readonly root: string;
  /** How many Idempotency-Keys and VINs other organizations may use up. */
  readonly repeats: number;
  readonly expireKey: (keyId: string) => Promise<void>;
}

export interface OrganizationName {
  readonly id: string;
  readonly slug: string;
  readonly marker: string;
}

/** Creates data for one organization over the public API, as the platform operator. */
export interface OrganizationMaker {
  readonly around: Surroundings;
  readonly base: string;
  readonly marker: string;
  make(path: string, body: unknown): Promise<any>;
  named(what: string): string;
}

export const SEND_WIDTH = 8;

export function createOrganizationMaker(around: Surroundings, { id, marker }: OrganizationName): OrganizationMaker {
  const base = `/organizations/${id}`;
  return {
    around,
    base,
    marker,
    make: (path, body) => around.api.call('POST', `${base}/${path}`, { token: around.root, body }),
    named: (what) => `${what} ${marker}`,
  };
}

export async function signIn(api: Api, email: string): Promise<string> {
  return (await api.call('POST', '/auth/sign-in', { body: { email, password: PASSWORD } })).accessToken;
}
