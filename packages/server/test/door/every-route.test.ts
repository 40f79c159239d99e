import { beforeAll, describe, expect, test } from 'vitest';
import { openApiDocument } from '../../src/app/openapi.ts';
import type { ApiDocument } from '../api-contract.ts';
import { CUSTOMER_SCOPES, openTestApp, type TestApp } from '../app.ts';
import { addPerson, personToken, signIn } from '../people.ts';
import { sendRaw } from '../raw-http.ts';

/** What holds at the wall for every route there is, taken from the OpenAPI document. */
interface Operation {
  readonly method: string;
  /** With an id that nothing has in place of each parameter. */
  readonly path: string;
  readonly operation: any;
}

const UNKNOWN = '01920000-0000-7000-8000-000000000000';
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const JSON_TYPE = { 'content-type': 'application/json' };
let operations: Operation[];
let paths: Map<string, string[]>;

beforeAll(async () => {
  const document = (await openApiDocument()) as ApiDocument;
  const sample = (path: string) => path.replace(/\{[^}]+\}/g, UNKNOWN);
  operations = Object.entries(document.paths).flatMap(([path, found]) =>
    Object.entries(found).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: sample(path),
      operation,
    })),
  );
  // Not in the document: the document itself and its pages.
  paths = new Map([
    ['/openapi.json', ['GET']],
    ['/docs', ['GET']],
    ['/favicon.ico', ['GET']],
  ]);
  for (const { method, path } of operations) paths.set(path, [...(paths.get(path) ?? []), method]);
  expect(operations.length).toBeGreaterThan(60);
});

const isEnvelope = (path: string) => /^\/api\/v1\/(partner\/|plants)/.test(path);
const codeOf = (json: any) => json?.code as string | undefined;

async function ask(
  world: TestApp,
  method: string,
  path: string,
  options: { token?: string; headers?: object; body?: string } = {},
) {
  const { token, headers = {}, body } = options;
  const answer = await world.app.http.inject({
    method: method as 'GET',
    url: path,
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    ...(body !== undefined && { payload: body }),
  });
  const isJson = /json/.test(String(answer.headers['content-type']));
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: answer.payload,
    json: isJson && answer.payload !== '' ? answer.json() : null,
  };
}

describe('methods (RFC 9110 9.3.7, 15.5.6)', () => {
  test('a path that exists answers any other method with 405 and Allow, in its family of errors, and OPTIONS with Allow', async () => {
    const world = await openTestApp();
    for (const [path, methods] of paths) {
      const allowed = METHODS.filter(
        (method) => method === 'OPTIONS' || methods.includes(method) || (method === 'HEAD' && methods.includes('GET')),
      );
      const options = await ask(world, 'OPTIONS', path);
      expect([path, options.status, options.headers.allow, options.text]).toEqual([path, 204, allowed.join(', '), '']);
      for (const method of [...METHODS, 'TRACE', 'QUERY', 'PROPFIND'].filter((one) => !allowed.includes(one))) {
        for (const suffix of ['', '/', '?take=5']) {
          // Whatever is sent along.
          const answer = await ask(world, method, path + suffix, { headers: { 'content-type': 'text/html' } });
          const code = isEnvelope(path) ? 'METHOD_NOT_ALLOWED' : 'method-not-allowed';
          expect([method, path, answer.status, answer.headers.allow]).toEqual([method, path, 405, allowed.join(', ')]);
          if (method !== 'HEAD') expect([path, codeOf(answer.json)]).toEqual([path, code]);
        }
      }
    }
  });

  test('HEAD answers as GET does, without the body', async () => {
    const world = await openTestApp();
    for (const [path, methods] of paths) {
      if (!methods.includes('GET')) continue;
      const [get, head] = [await ask(world, 'GET', path), await ask(world, 'HEAD', path)];
      expect([path, head.status, head.headers['content-type'], head.text]).toEqual([
        path,
        get.status,
        get.headers['content-type'],
        '',
      ]);
    }
  });

  test('a path that does not exist is 404 for every method, and OPTIONS * names them all', async () => {
    const world = await openTestApp();
    for (const path of ['/api/v1/nothing', '/api/v1/fleets/x/y', '/api/v2/fleets', '/docsx'])
      for (const method of METHODS) expect([method, (await ask(world, method, path)).status]).toEqual([method, 404]);
    const [server] = await sendRaw(world.app.httpPort, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect([server!.status, server!.headers['allow']]).toEqual([204, METHODS.join(', ')]);
  });
});

describe('a credential in the URL', () => {
  const jwt = `eyJhbGciOiJFZDI1NTE5In0.${'a'.repeat(40)}.${'b'.repeat(40)}`;
  const key = `gladhand_${'0'.repeat(12)}_${'1'.repeat(49)}`;

  test('is refused on every route before anything else, authenticate and unknown paths included', async () => {
    const world = await openTestApp();
    for (const { method, path } of [
      ...operations,
      { method: 'GET', path: '/nothing' },
      { method: 'PUT', path: '/openapi.json' },
      { method: 'OPTIONS', path: '/api/v1/fleets' },
    ]) {
      const answer = await ask(world, method, `${path}?api_key=x`, {
        headers: { expect: '100-continue', 'content-type': 'text/html' },
      });
      const code = isEnvelope(path) ? 'CREDENTIAL_IN_URL' : 'credential-in-url';
      expect([method, path, answer.status, codeOf(answer.json)]).toEqual([method, path, 400, code]);
    }
  });

  test('is told by its name in any spelling, and by its value under any name; it is never repeated', async () => {
    const world = await openTestApp();
    const path = '/api/v1/customers/authenticate';
    for (const name of [
      'token',
      'access_token',
      'accessToken',
      'X-API-KEY',
      'api-key',
      'apikey',
      'key',
      'Authorization',
      'jwt',
    ]) {
      const { json } = await ask(world, 'POST', `${path}?a=1&${name}=secret`);
      expect([name, json.code]).toEqual([name, 'credential-in-url']);
      expect(json.detail).not.toContain('secret');
    }
    for (const value of [key, jwt, `Bearer%20${jwt}`, `gladhand_session_${'a'.repeat(43)}`]) {
      const answers = [await ask(world, 'POST', `${path}?q=${value}`), await ask(world, 'POST', `${path}?${value}`)];
      expect(codeOf(answers[0]!.json)).toBe('credential-in-url');
      for (const { text } of answers) expect(text).not.toContain('aaaa');
    }
    // What an identity provider sends back is no credential of ours.
    expect((await ask(world, 'GET', `/api/v1/auth/oidc/callback?code=${jwt}&state=${jwt}`)).json.code).toBe(
      'not-found',
    );
  });
});

describe('bodies', () => {
  /** Whoever may call the operation; anew for those that end what they are called with. */
  async function callers(world: TestApp) {
    const admin = await addPerson(world, world.operatorId, 'ADMIN');
    const customerKey = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
    const makers: Record<string, () => Promise<string>> = {
      sessionToken: () => signIn(world, admin),
      customerToken: () => world.token(world.customerId, 'customer', CUSTOMER_SCOPES),
      partnerToken: () => world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']),
    };
    const kept = new Map<string, string>();
    return async ({ path, operation }: Operation): Promise<{ token?: string; headers?: object }> => {
      if (path.endsWith('/customers/authenticate')) return { headers: { 'x-api-key': customerKey } };
      const kinds = operation.security.flatMap((one: object) => Object.keys(one));
      const kind = Object.keys(makers).find((one) => kinds.includes(one));
      if (kind === undefined) return {};
      if (/\/(rotate|sign-out)$/.test(path)) return { token: await makers[kind]!() };
      const token = kept.get(kind) ?? (await makers[kind]!());
      kept.set(kind, token);
      return { token };
    };
  }

  const TYPES = [
    'application/json',
    'application/json; charset=utf-8',
    'text/plain',
    'application/x-www-form-urlencoded',
    'not a type',
    ';',
  ];

  test('where none is needed, an empty one is fine with any Content-Type, and a route that takes none ignores one', async () => {
    const world = await openTestApp();
    const callerOf = await callers(world);
    const bodyless = operations.filter(
      ({ operation, path }) => operation.requestBody === undefined || path.endsWith('/rotate'),
    );
    expect(bodyless.map(({ method }) => method)).toEqual(expect.arrayContaining(['GET', 'POST', 'PUT', 'DELETE']));
    for (const one of bodyless.filter(({ method }) => method !== 'GET')) {
      const { method, path, operation } = one;
      const plain = await ask(world, method, path, await callerOf(one));
      for (const type of TYPES) {
        const caller = await callerOf(one);
        const seen = await ask(world, method, path, {
          ...caller,
          headers: { ...caller.headers, 'content-type': type, 'content-length': '0' },
        });
        expect([method, path, type, seen.status, codeOf(seen.json)]).toEqual([
          method,
          path,
          type,
          plain.status,
          codeOf(plain.json),
        ]);
      }
      if (operation.requestBody !== undefined) continue;
      const caller = await callerOf(one);
      const ignored = await ask(world, method, path, {
        ...caller,
        headers: { ...caller.headers, ...JSON_TYPE },
        body: '{"a":',
      });
      expect([method, path, ignored.status]).toEqual([method, path, plain.status]);
    }
  });

  test('where one is needed, an empty one is refused as such, and what is no JSON with what would be taken', async () => {
    const world = await openTestApp();
    const callerOf = await callers(world);
    // Intake reads its own bytes, after the VIN.
    for (const one of operations.filter(
      ({ operation, path }) => operation.requestBody !== undefined && !/\/(rotate$|intake\/)/.test(path),
    )) {
      const { method, path } = one;
      const caller = await callerOf(one);
      const empty = await ask(world, method, path, { ...caller, headers: { ...JSON_TYPE, 'content-length': '0' } });
      expect([method, path, empty.status, codeOf(empty.json)]).toEqual([
        method,
        path,
        400,
        isEnvelope(path) ? 'VALIDATION_ERROR' : 'empty-body',
      ]);
      const form = await ask(world, method, path, {
        ...caller,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'a=b',
      });
      expect([method, path, form.status, form.headers.accept]).toEqual([method, path, 415, 'application/json']);
    }
  });

  test('DELETE of a bad id says INVALID_UUID, whatever headers and body came', async () => {
    const world = await openTestApp();
    const token = await personToken(world, world.customerId, 'ADMIN');
    for (const id of ['x', '123', `${UNKNOWN}0`, 'null', '%20', 'x'.repeat(256)]) {
      for (const headers of [
        {},
        { ...JSON_TYPE, 'content-length': '0' },
        JSON_TYPE,
        { 'content-type': 'nonsense' },
        { accept: 'image/png' },
        { 'transfer-encoding': 'chunked', ...JSON_TYPE },
      ]) {
        for (const body of [undefined, '{"a":1}', 'not JSON']) {
          const answer = await ask(world, 'DELETE', `/api/v1/partner/api-keys/${id}`, {
            token,
            headers,
            ...(body !== undefined && { body }),
          });
          expect([id, headers, body, answer.json]).toEqual([
            id,
            headers,
            body,
            expect.objectContaining({
              statusCode: 400,
              error: 'Bad Request',
              code: 'INVALID_UUID',
              message: 'Invalid API key UUID',
            }),
          ]);
        }
      }
    }
  });
});

describe('401 says that the credential is no good, 403 that it is good and not for this', () => {
  test('on every route, for a key of either audience and for a person', async () => {
    const world = await openTestApp();
    const session = await personToken(world, world.operatorId, 'ADMIN');
    const held = {
      partnerToken: await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']),
      customerToken: await world.token(world.customerId, 'customer', [...CUSTOMER_SCOPES, 'plants:read']),
      sessionToken: session,
    };
    for (const { method, path, operation } of operations) {
      const kinds = operation.security.flatMap((one: object) => Object.keys(one));
      if (kinds.length === 0 || kinds.join() === 'apiKey') continue;
      const at = (token?: string, headers = {}) =>
        ask(world, method, path, { ...(token !== undefined && { token }), headers });
      expect([path, (await at()).status]).toEqual([path, 401]);
      for (const bad of ['nonsense', 'a.b.c', `${held.partnerToken}x`, `gladhand_session_${'A'.repeat(43)}`])
        expect([path, bad, (await at(bad)).status]).toEqual([path, bad, 401]);
      for (const [kind, token] of Object.entries(held)) {
        if (kinds.includes(kind)) continue;
        const { status, json } = await at(token);
        expect([path, kind, status, codeOf(json)]).toEqual([
          path,
          kind,
          403,
          isEnvelope(path) ? 'FORBIDDEN' : 'forbidden',
        ]);
      }
      if (!kinds.includes('session')) {
        const cookie = { cookie: `gladhand_session=${session}`, 'sec-fetch-site': 'same-origin' };
        expect([path, (await at(undefined, cookie)).status]).toEqual([path, 403]);
      }
    }
  });
});
