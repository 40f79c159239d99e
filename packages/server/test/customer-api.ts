import { systemClock } from '@gladhand/base/clock.ts';
import { createCursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { TSchema } from 'typebox';
import { afterAll, expect } from 'vitest';
import { type Principal, SCOPES } from '../src/access/principal.ts';
import type { Database } from '../src/database/database.ts';
import { createGuard } from '../src/edge/guard.ts';
import { createHttp } from '../src/edge/http.ts';
import { registerQueryRoutes } from '../src/query/routes.ts';
import { registerRegistryRoutes } from '../src/registry/routes.ts';
import { createTelemetryReader } from '../src/telemetry/read.ts';
import { openTestDatabase } from './database.ts';
import { createTestRegistry, type TestRegistry } from './registry.ts';

/**
 * The customer's reading side on a real database, with two organizations. A token is the name of a principal, so that
 * tests of reading do not depend on how tokens are made.
 */
export interface CustomerApi {
  readonly database: Database;
  readonly registry: TestRegistry;
  /** Two customer organizations; `own` is the one that asks when a request names no token. */
  readonly own: string;
  readonly foreign: string;
  get(path: string, token?: string): Promise<Answer>;
  /** The token of a customer key of `own` with these scopes only. */
  tokenWith(...scopes: string[]): string;
  /** The token of a customer key of `own` that is restricted to these plants. */
  tokenForPlants(...plantIds: string[]): string;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  readonly body: any;
}

/** `examinedRowsMax`: what one page of telemetry examines at most, if not as many rows as it does in production. */
export async function openCustomerApi(options: { examinedRowsMax?: number } = {}): Promise<CustomerApi> {
  const database = await openTestDatabase();
  const [own, foreign] = [await insertOrganization(database, 'own'), await insertOrganization(database, 'foreign')];
  const principals = new Map<string, Principal>([
    ['own', principal(own, SCOPES)],
    ['foreign', principal(foreign, SCOPES)],
    ['partner', { ...principal(own, SCOPES), audience: 'partner' }],
  ]);
  const http = createHttp({ log: silentLogger, ids: systemIds, clock: systemClock, trustedProxies: [] });
  http.decorateRequest('principal', null);
  http.decorateRequest('person', null);
  const authenticate = (token: string) => {
    const found = principals.get(token);
    if (found === undefined) throw new Fault('invalid-token', 'The access token is not one of ours.');
    return found;
  };
  http.addHook('onRequest', createGuard({ authenticate }));
  const registry = createTestRegistry({ database, clock: systemClock, ids: systemIds });
  const cursors = createCursors(Buffer.alloc(32, 7));
  await http.register(
    async (api) => {
      registerRegistryRoutes(api, { registry, cursors });
      registerQueryRoutes(api, { registry, reader: createTelemetryReader(database, options.examinedRowsMax), cursors });
    },
    { prefix: '/api/v1' },
  );
  await http.ready();
  afterAll(() => http.close());
  return {
    database,
    registry,
    own,
    foreign,
    async get(path, token = 'own') {
      const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
      const answer = await http.inject({ method: 'GET', url: `/api/v1${path}`, headers });
      const contentType = String(answer.headers['content-type']);
      return { status: answer.statusCode, contentType, text: answer.payload, body: JSON.parse(answer.payload) };
    },
    tokenWith(...scopes) {
      const token = scopes.join('.').replaceAll(':', '_') || 'none';
      principals.set(token, principal(own, scopes));
      return token;
    },
    tokenForPlants(...plantIds) {
      const token = `plants.${plantIds.join('.')}`;
      principals.set(token, { ...principal(own, SCOPES), plantIds: new Set(plantIds) });
      return token;
    },
  };
}

export async function insertOrganization(database: Database, slug: string): Promise<string> {
  const id = systemIds.uuid();
  const now = new Date(systemClock.nowMs());
  await database.owner
    .insertInto('organization')
    .values({ id, slug, name: slug, kind: 'customer', created_at: now, updated_at: now })
    .execute();
  return id;
}

function principal(organizationId: string, scopes: readonly string[]): Principal {
  return {
    keyId: systemIds.uuid(),
    publicId: 'test',
    organizationId,
    organizationKind: 'customer',
    audience: 'customer',
    partnerId: 'test',
    scopes: new Set(scopes),
    product: null,
    plantIds: null,
    generation: 1,
    tokenExpiresAtMs: systemClock.nowMs() + 1_800_000,
  };
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
(formats as unknown as (instance: Ajv2020) => void)(ajv);
const compiled = new Map<TSchema, ReturnType<typeof ajv.compile>>();

/** Holds `value` against a wire schema, naming each place that does not match. */
export function expectToMatch(schema: TSchema, value: unknown): void {
  const validate = compiled.get(schema) ?? ajv.compile(schema);
  compiled.set(schema, validate);
  void validate(value);
  expect(validate.errors ?? []).toEqual([]);
}

/** Every item of a list, page by page; fails when it never ends. */
export async function walk(api: CustomerApi, path: string, take: number): Promise<Array<{ id: string }>> {
  const items: Array<{ id: string }> = [];
  let next: string | null = null;
  for (let pages = 0; pages < 1_000; pages += 1) {
    const separator = path.includes('?') ? '&' : '?';
    const answer = await api.get(`${path}${separator}take=${take}${next === null ? '' : `&next=${next}`}`);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body.data.length).toBeLessThanOrEqual(take);
    items.push(...answer.body.data);
    next = answer.body.next;
    if (next === null) return items;
    expect(answer.body.data).toHaveLength(take);
  }
  throw new Error('the list does not end');
}

/** The n-th of a row of valid, different VINs. */
export function vinOf(n: number): string {
  return `1GHD${String(n).padStart(13, '0')}`;
}

/** A problem document without what differs from request to request by design. */
export function comparable(answer: Answer): string {
  const { requestId } = answer.body;
  return `${answer.status} ${answer.contentType} ${answer.text.replaceAll(requestId, '<request>')}`;
}
