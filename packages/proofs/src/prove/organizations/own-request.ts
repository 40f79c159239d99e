import type { Caller } from './callers.ts';
import type { SampleOrganization } from './create-organization.ts';
import type { Request } from './http-client.ts';
import { freshAddress, freshVin, freshWord } from './names.ts';
import { type BodyProperty, type Operation, PLAIN_PATH } from './operations.ts';

/** A request in parts, so that a probe can replace one of them. */
export interface Draft {
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** An object to send as JSON, or a partner's payload as text. Null if there is no body. */
  readonly body: Readonly<Record<string, unknown>> | string | null;
}

type Owner = Pick<SampleOrganization, 'own' | 'marker' | 'repeated'>;

/** A valid request to this route for the organization's own data, with all required parts. */
export function ownRequest(operation: Operation, sample: Owner): Draft {
  const path = Object.fromEntries(Object.entries(operation.pathKinds).map(([name, kind]) => [name, sample.own[kind]]));
  const query = Object.fromEntries(
    operation.queryRequired.map((name) => [name, ownParameter(operation, name, sample)]),
  );
  return { path, query, headers: {}, body: operation.isIntake ? sample.repeated.body : ownBody(operation, sample) };
}

const PARAMETERS: Readonly<Record<string, string>> = { metric: 'gps.speedKph', bucket: '1h' };

function ownParameter({ queryKinds }: Operation, name: string, sample: Owner): string {
  const kind = queryKinds[name];
  return kind === undefined ? (PARAMETERS[name] ?? '') : sample.own[kind];
}

function ownBody(operation: Operation, sample: Owner): Record<string, unknown> | null {
  if (operation.body === null) return null;
  const properties = Object.entries(operation.body);
  const required = properties.filter(([, { isRequired }]) => isRequired);
  const sent =
    required.length > 0 ? required : properties.filter(([name]) => name === 'name' || name === 'kind').slice(0, 1);
  return Object.fromEntries(sent.map(([name, property]) => [name, example(name, property, sample)]));
}

/** Limits that no request of the proof reaches. */
const LIMITS: Readonly<Record<string, unknown>> = {
  mode: 'enforce',
  limit: 1_000_000,
  windowSeconds: 60,
  readCapacity: 1_000_000,
  readRefillPerSecond: 1_000,
  concurrentRequestsMax: 1_000,
  streamsMax: 1_000,
  waitMsMax: 100,
  waitingRequestsMax: 100,
};

function example(name: string, property: BodyProperty, sample: Owner): unknown {
  const known: Readonly<Record<string, () => unknown>> = {
    vin: freshVin,
    slug: freshWord,
    externalId: freshWord,
    role: () => 'VIEWER',
    product: () => 'traccar',
    kind: () => 'gateway',
    scopes: () => ['fleets:read'],
    password: () => freshWord().padEnd(20, 'x'),
    email: () => `${freshWord()}-${sample.marker}@example.com`,
  };
  if (name in LIMITS) return LIMITS[name];
  const make = known[name];
  if (make !== undefined) return make();
  if (property.kind === null) return `${name} ${sample.marker}`;
  const own = sample.own[property.kind];
  return property.isList ? [own] : own;
}

export function toRequest(operation: Operation, draft: Draft, caller: Pick<Caller, 'headers'>): Request {
  const path = operation.path.replace(/\{([^}]+)\}/g, (_, name: string) =>
    encodeURIComponent(draft.path[name] ?? PLAIN_PATH[name] ?? ''),
  );
  const query = new URLSearchParams(draft.query).toString();
  const isJson = draft.body !== null;
  return {
    method: operation.method,
    path: query === '' ? path : `${path}?${query}`,
    headers: {
      'x-forwarded-for': freshAddress(),
      ...caller.headers,
      ...(isJson && { 'content-type': 'application/json' }),
      ...draft.headers,
    },
    ...(isJson && { body: typeof draft.body === 'string' ? draft.body : JSON.stringify(draft.body) }),
  };
}
