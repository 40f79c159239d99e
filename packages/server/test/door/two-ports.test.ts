import { Agent, request as httpRequest } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { openApiDocument } from '../../src/app/openapi.ts';
import type { ApiDocument } from '../api-contract.ts';
import { CUSTOMER_SCOPES, openTestApp } from '../app.ts';
import { TRACCAR } from '../limits/limited-world.ts';
import { sendRaw } from '../raw-http.ts';

/** The authentication API and the integration API on ports of their own, over real HTTP. */
const OWN_PORT = { 'authentication.ownPort': true, 'authentication.port': 0 };
const AUTHENTICATION = /^\/(api\/v1\/(partners|customers)\/(authenticate|rotate)|\.well-known\/jwks\.json)$/;
const UNKNOWN = '01920000-0000-7000-8000-000000000000';

async function openPorts(flags: Record<string, unknown> = {}) {
  const world = await openTestApp({ flags: { ...OWN_PORT, ...flags } });
  const { app } = world;
  expect(app.authenticationPort).not.toBe(app.httpPort);
  const bases = { authentication: `http://127.0.0.1:${app.authenticationPort}`, integration: world.base };
  return { world, bases, ports: { authentication: app.authenticationPort, integration: app.httpPort } };
}

async function ask(url: string, init: RequestInit = {}) {
  const answer = await fetch(url, init);
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, json: text.startsWith('{') ? JSON.parse(text) : null };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function operationsOf(): Promise<{ method: string; path: string }[]> {
  const document = (await openApiDocument()) as ApiDocument;
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({
      method: method.toUpperCase(),
      path: path.replace(/\{[^}]+\}/g, UNKNOWN),
    })),
  );
}

test('a key is traded and rotated on the one port, and its token sends and reads on the other', async () => {
  const { world, bases } = await openPorts();
  const trade = async (audience: string, key: string) =>
    ask(`${bases.authentication}/api/v1/${audience}s/authenticate`, { method: 'POST', headers: { 'x-api-key': key } });
  const partner = await world.issueKey(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const sending = (await trade('partner', partner)).json.accessToken as string;
  const sent = await ask(`${bases.integration}/api/v1/telemetry/intake/1UYVS2533P7204518`, {
    method: 'POST',
    headers: { ...bearer(sending), 'content-type': 'application/json' },
    body: TRACCAR,
  });
  expect(sent.status).toBe(202);
  const customer = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
  const first = await trade('customer', customer);
  expect(first.headers.get('ratelimit')).toMatch(/^"authenticate";r=9/);
  const reading = first.json.accessToken as string;
  expect((await ask(`${bases.integration}/api/v1/fleets/?take=50`, { headers: bearer(reading) })).status).toBe(200);
  const rotated = await ask(`${bases.authentication}/api/v1/customers/rotate`, {
    method: 'PUT',
    headers: bearer(reading),
  });
  expect(rotated.status).toBe(200);
  expect((await ask(`${bases.integration}/api/v1/fleets`, { headers: bearer(reading) })).status).toBe(401);
  expect((await trade('customer', rotated.json.key)).status).toBe(200);
  const keys = createRemoteJWKSet(new URL(`${bases.authentication}/.well-known/jwks.json`));
  expect((await jwtVerify(sending, keys)).payload.aud).toBe('partner');
});

test('every operation is served on exactly one port, and the other says where, before it asks who is calling', async () => {
  const { bases } = await openPorts();
  for (const { method, path } of await operationsOf()) {
    const [own, other] = AUTHENTICATION.test(path)
      ? (['authentication', 'integration'] as const)
      : (['integration', 'authentication'] as const);
    const here = await ask(bases[own] + path, { method });
    const there = await ask(bases[other] + path, { method });
    if (path.startsWith('/health/')) {
      expect([path, here.status, there.status]).toEqual([path, 200, 200]);
      continue;
    }
    expect([path, here.text]).not.toEqual([path, expect.stringContaining('This port serves')]);
    expect([method, path, there.status]).toEqual([method, path, 404]);
    expect(there.text).toContain(` Send ${method} to ${bases[own]}${path}.`);
  }
  for (const path of ['/docs', '/openapi.json', '/metrics'])
    expect([path, (await ask(bases.authentication + path)).status]).toEqual([path, 404]);
});

test('one wall stands behind both ports: methods, credentials in the URL, limits, malformed requests, closing', async () => {
  const { world, bases, ports } = await openPorts();
  for (const api of ['authentication', 'integration'] as const) {
    const path = api === 'authentication' ? '/api/v1/partners/authenticate' : '/api/v1/telemetry/intake/x';
    const wrong = await ask(`${bases[api]}${path}`, { method: 'DELETE' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST, OPTIONS']);
    expect((await ask(`${bases[api]}${path}?token=x`, { method: 'POST' })).json.code).toBe('credential-in-url');
    expect((await ask(`${bases[api]}/nothing`)).json.code).toBe('not-found');
    const raw = async (bytes: string) =>
      (await sendRaw(ports[api], bytes)).map(({ status, json }) => [status, json?.code]);
    expect(await raw('HELLO\r\n\r\n')).toEqual([[400, 'malformed-request']]);
    expect(await raw(`POST ${path} HTTP/1.1\r\n\r\n`)).toEqual([[400, 'malformed-request']]);
    expect(await raw(`POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n`)).toEqual([[417, 'expectation-failed']]);
  }
  const key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
  const trade = () =>
    ask(`${bases.authentication}/api/v1/customers/authenticate`, { method: 'POST', headers: { 'x-api-key': key } });
  for (let traded = 0; traded < 10; traded += 1) expect((await trade()).status).toBe(200);
  expect((await trade()).json.code).toBe('rate-limited');
  const { text } = await ask(`${bases.integration}/metrics`);
  expect(text).toMatch(/gladhand_limit_decisions_total\{(?=.*limit="authenticate")(?=.*outcome="refused").*\} 1\n/);
});

test('what tells a caller to authenticate says where, by the host that was asked or as configured', async () => {
  for (const [flags, where] of [
    [{}, undefined],
    [
      { 'authentication.publicUrl': 'https://auth.example.com/', 'http.publicUrl': 'https://api.example.com' },
      'https://auth.example.com',
    ],
  ] as const) {
    const { world, bases } = await openPorts(flags);
    const authentication = where ?? bases.authentication;
    const integration = where === undefined ? bases.integration : 'https://api.example.com';
    const token = world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES).then(async (key) => {
      const traded = await ask(`${bases.authentication}/api/v1/customers/authenticate`, {
        method: 'POST',
        headers: { 'x-api-key': key },
      });
      return traded.json.accessToken as string;
    });
    const refused = await ask(`${bases.integration}/api/v1/telemetry/intake/x`, {
      method: 'POST',
      headers: bearer(await token),
    });
    expect([refused.status, refused.json.detail]).toEqual([
      403,
      expect.stringContaining(`POST ${authentication}/api/v1/partners/authenticate.`),
    ]);
    const none = await ask(`${bases.integration}/api/v1/fleets`);
    expect(none.json.detail).toContain(`POST ${authentication}/api/v1/customers/authenticate.`);
    const { json: document } = await ask(`${bases.integration}/openapi.json`);
    expect(document.servers).toEqual([{ url: integration }]);
    for (const [path, item] of Object.entries<any>(document.paths))
      expect([path, item.servers]).toEqual([path, AUTHENTICATION.test(path) ? [{ url: authentication }] : undefined]);
  }
});

test('with one port, everything is on it, and nothing names another', async () => {
  const world = await openTestApp();
  expect(world.app.authenticationPort).toBe(world.app.httpPort);
  const { json: document } = await ask(`${world.base}/openapi.json`);
  expect(document.servers).toMatchObject([{ url: '/' }]);
  for (const { method, path } of await operationsOf())
    expect([path, (await ask(world.base + path, { method })).text]).not.toEqual([
      path,
      expect.stringContaining('This port'),
    ]);
});

test('closing ends the connections of both ports, and what is under way on either is answered', async () => {
  const { world, bases, ports } = await openPorts();
  const key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  // The body is held back until the server is closing.
  const request = httpRequest(`${bases.authentication}/api/v1/customers/authenticate`, {
    method: 'POST',
    agent,
    headers: { 'x-api-key': key, 'content-type': 'application/json', 'content-length': 2 },
  });
  const answered = new Promise<number>((resolve, reject) => {
    request.on('response', (response) => resolve(response.resume().statusCode!));
    request.on('error', reject);
  });
  request.flushHeaders();
  // Leaves an open connection behind on either port.
  for (const base of Object.values(bases)) expect((await ask(`${base}/health/live`)).status).toBe(200);
  const closed = world.app.close();
  request.end('{}');
  expect([200, 503]).toContain(await answered);
  await closed;
  for (const port of Object.values(ports)) await expect(ask(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow();
});
