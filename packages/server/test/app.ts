import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { issueKey } from '../src/access/issue-key.ts';
import type { Audience } from '../src/access/principal.ts';
import { type App, openApp } from '../src/app/build.ts';
import { loadConfig } from '../src/config.ts';
import { insertOrganization } from '../src/organizations/store.ts';
import { openApiContract } from './api-contract.ts';
import { openTestDatabase } from './database.ts';
import { createTestRegistry, type TestRegistry } from './registry.ts';
import { whenDone } from './when-done.ts';

/**
 * The whole server on a database of its own and free ports, with two organizations beside the operator. Everything it
 * opened is closed when the test ends; opened in a hook, at the end of the file.
 */
export interface TestApp {
  readonly app: App;
  readonly base: string;
  readonly registry: TestRegistry;
  readonly operatorId: string;
  readonly customerId: string;
  readonly rivalId: string;
  issueKey(organizationId: string, audience: Audience, scopes: readonly string[], partnerId?: string): Promise<string>;
  /** An access token for a new key. */
  token(organizationId: string, audience: Audience, scopes: readonly string[], partnerId?: string): Promise<string>;
  /** `json` is the parsed body, or null when it is not JSON. Fails on an answer that the OpenAPI document does not have. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Asks for the receipt until it is not queued any more. */
  settled(token: string, receiptId: string): Promise<any>;
}

export interface CallOptions {
  readonly token?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: any;
  readonly text: string;
}

export const CUSTOMER_SCOPES = [
  'fleets:read',
  'trailers:read',
  'devices:read',
  'deliversafe:read',
  'telemetry:read',
  'livefeed:connect',
];

export async function openTestApp(options: { clock?: Clock; flags?: Record<string, unknown> } = {}): Promise<TestApp> {
  const clock = options.clock ?? systemClock;
  const database = await openTestDatabase();
  const directory = mkdtempSync(join(tmpdir(), 'gladhand-app-'));
  const { host, port, user, password, database: name } = database.host.connection;
  const url = `postgres://${user}:${encodeURIComponent(String(password))}@/${name}?host=${encodeURIComponent(String(host))}&port=${port}`;
  const flags = {
    'http.port': 0,
    'grpc.port': 0,
    'data.directory': directory,
    'database.url': url,
    'demo.enabled': false,
    // Tests open several servers on one database, and many databases on one PostgreSQL.
    'limits.perNode': true,
    'database.poolSizeMax': 8,
    'mapping.ownThread': false,
    ...options.flags,
  };
  const around = { clock, ids: systemIds, log: silentLogger };
  const app = await openApp(loadConfig({ env: {}, flags }), around);
  whenDone(async () => {
    await app.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const organizations = { operatorId: systemIds.uuid(), customerId: systemIds.uuid(), rivalId: systemIds.uuid() };
  const at = new Date(clock.nowMs());
  await insertOrganization(database.owner, {
    id: organizations.operatorId,
    slug: 'operator',
    name: 'Operator',
    kind: 'operator',
    at,
  });
  await insertOrganization(database.owner, {
    id: organizations.customerId,
    slug: 'customer',
    name: 'Customer',
    kind: 'customer',
    at,
  });
  await insertOrganization(database.owner, {
    id: organizations.rivalId,
    slug: 'rival',
    name: 'Rival',
    kind: 'customer',
    at,
  });
  const base = `http://127.0.0.1:${app.httpPort}`;

  const contract = await openApiContract();
  const call: TestApp['call'] = async (method, path, { token, headers, body } = {}) => {
    const answer = await fetch(base + path, {
      method,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
      ...(body !== undefined && { body }),
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    const seen = { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : null };
    const problems = answer.redirected ? [] : contract.check({ method, path, ...seen });
    if (problems.length > 0)
      throw new Error(`not as the OpenAPI document says:\n${problems.join('\n')}\n${text.slice(0, 2_000)}`);
    return seen;
  };
  const issue: TestApp['issueKey'] = async (organizationId, audience, scopes, partnerId = 'partner') => {
    const order = { organizationId, audience, partnerId, name: 'test', scopes, createdBy: null };
    return (await issueKey(database.owner, { secrets: app.secrets, ...around }, order)).plaintext;
  };
  return {
    app,
    base,
    ...organizations,
    registry: createTestRegistry({ database, clock, ids: systemIds }),
    issueKey: issue,
    async token(organizationId, audience, scopes, partnerId) {
      const key = await issue(organizationId, audience, scopes, partnerId);
      return (await call('POST', `/api/v1/${audience}s/authenticate`, { headers: { 'x-api-key': key } })).json
        .accessToken;
    },
    call,
    async settled(token, receiptId) {
      for (;;) {
        const { json } = await call('GET', `/api/v1/telemetry/receipts/${receiptId}`, { token });
        if (json.status !== 'queued') return json;
      }
    },
  };
}
