/**
 * The routes as the OpenAPI document tells them, with what of each request names something that belongs to somebody.
 * Promise: nothing in the document goes unnoticed: a parameter or property whose meaning is not known here is told in
 * `unknown`, and the proof fails until it is entered below.
 */
export interface Operation {
  /** `get /api/v1/fleets/{fleet}`. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly isPublic: boolean;
  /** Each alternative: a security scheme, and the roles or scopes it needs. */
  readonly security: readonly (readonly [scheme: string, needs: readonly string[]])[];
  /** Path parameters and what they name. */
  readonly pathKinds: Readonly<Record<string, Kind>>;
  /** Query parameters that name something. */
  readonly queryKinds: Readonly<Record<string, Kind>>;
  readonly takesCursor: boolean;
  /** Query parameters that have to be sent. */
  readonly queryRequired: readonly string[];
  /** Properties of the body; null: there is none, or it is a partner's own JSON. */
  readonly body: Readonly<Record<string, BodyProperty>> | null;
  readonly isIntake: boolean;
}

export interface BodyProperty {
  readonly isRequired: boolean;
  readonly isList: boolean;
  /** What it names; null: nothing of anybody's. */
  readonly kind: Kind | null;
}

export const KINDS = [
  'organization',
  'user',
  'email',
  'slug',
  'fleet',
  'trailer',
  'vin',
  'device',
  'unit',
  'plant',
  'key',
  'receipt',
  'serial',
  'record',
] as const;
export type Kind =
  | ('organization' | 'user' | 'email' | 'slug' | 'fleet' | 'trailer' | 'vin' | 'device' | 'unit')
  | ('plant' | 'key' | 'receipt' | 'serial' | 'record');

/** Path parameters by name; `id` names what the nearest segment before it says. */
const PATH_KINDS: Readonly<Record<string, Kind>> = {
  organization: 'organization',
  user: 'user',
  fleet: 'fleet',
  trailer: 'trailer',
  device: 'device',
  vin: 'vin',
  plant: 'plant',
  plantId: 'plant',
};
const SEGMENT_KINDS: Readonly<Record<string, Kind>> = {
  fleets: 'fleet',
  trailers: 'trailer',
  devices: 'device',
  deliversafe: 'unit',
  plants: 'plant',
  'api-keys': 'key',
  receipts: 'receipt',
  users: 'user',
};
/** Path parameters that name what is the installation's, and one there is. */
export const PLAIN_PATH: Readonly<Record<string, string>> = { plan: 'standard', product: 'traccar' };
const QUERY_KINDS: Readonly<Record<string, Kind>> = {
  vin: 'vin',
  fleet: 'fleet',
  trailer: 'trailer',
  plantId: 'plant',
  plant: 'plant',
};
const PLAIN_QUERY = [
  'take',
  'next',
  'from',
  'to',
  'order',
  'action',
  'activeOnly',
  'page',
  'limit',
  'signals',
  'metric',
  'bucket',
];
const BODY_KINDS: Readonly<Record<string, Kind>> = {
  fleetId: 'fleet',
  assetId: 'trailer',
  allowedPlantIds: 'plant',
  id: 'plant',
  vin: 'vin',
  email: 'email',
  slug: 'slug',
};
/**
 * What names nothing of another organization's. Device ids and serial numbers count within an organization only, and
 * taking one on would change what it names in the probes after it.
 */
const PLAIN_BODY = [
  'name',
  'unitNumber',
  'isActive',
  'product',
  'kind',
  'role',
  'password',
  'scopes',
  'allowedIps',
  'externalId',
  'allowAnyAddress',
  'expiresAt',
  'requireSignature',
  'overlapSeconds',
  'currentPassword',
  'newPassword',
  'partnerId',
  'serialNumber',
  // Plans and the limits of products are the installation's.
  'planId',
  'mode',
  'proposed',
  'limit',
  'windowSeconds',
  'total',
  'readCapacity',
  'readRefillPerSecond',
  'concurrentRequestsMax',
  'streamsMax',
  'waitMsMax',
  'waitingRequestsMax',
];

type Json = any;

export function readOperations(document: Json): { operations: Operation[]; unknown: string[] } {
  const unknown: string[] = [];
  const resolve = (schema: Json): Json =>
    schema?.$ref === undefined ? schema : resolve(document.components.schemas[schema.$ref.split('/').at(-1)]);
  const operations = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Json>(methods).map(([method, operation]): Operation => {
      const id = `${method} ${path}`;
      const parameters: Json[] = operation.parameters ?? [];
      const named = (place: string) => parameters.filter((one) => one.in === place).map((one): string => one.name);
      const pathKinds: Record<string, Kind> = {};
      for (const [, name] of path.matchAll(/\{([^}]+)\}/g)) {
        if (name! in PLAIN_PATH) continue;
        const kind = pathKind(path, name!);
        if (kind === undefined) unknown.push(`${id}: path parameter ${name}`);
        else pathKinds[name!] = kind;
      }
      const queryKinds: Record<string, Kind> = {};
      for (const name of named('query')) {
        const kind = QUERY_KINDS[name];
        if (kind !== undefined) queryKinds[name] = kind;
        else if (!PLAIN_QUERY.includes(name)) unknown.push(`${id}: query parameter ${name}`);
      }
      const isIntake = path.includes('/telemetry/intake/');
      const schema = isIntake ? undefined : resolve(operation.requestBody?.content?.['application/json']?.schema);
      const body = schema && readBody(schema, resolve, (name) => unknown.push(`${id}: body property ${name}`));
      const security: Json[] = operation.security ?? [];
      return {
        id,
        method: method.toUpperCase(),
        path,
        pathKinds,
        queryKinds,
        isIntake,
        isPublic: security.length === 0 || path.endsWith('/authenticate'),
        security: security.flatMap((one) => Object.entries<string[]>(one)),
        queryRequired: parameters.filter((one) => one.in === 'query' && one.required).map((one): string => one.name),
        takesCursor: named('query').includes('next'),
        body: body ?? null,
      };
    }),
  );
  return { operations, unknown };
}

function pathKind(path: string, name: string): Kind | undefined {
  const known = PATH_KINDS[name];
  if (known !== undefined || name !== 'id') return known;
  const before = path.slice(0, path.indexOf(`{${name}}`)).split('/');
  const segment = before.findLast((one) => one in SEGMENT_KINDS);
  return segment === undefined ? undefined : SEGMENT_KINDS[segment];
}

function readBody(schema: Json, resolve: (schema: Json) => Json, onUnknown: (name: string) => void) {
  const body: Record<string, BodyProperty> = {};
  for (const shape of [schema, ...(schema.anyOf ?? [])].map(resolve)) {
    for (const [name, given] of Object.entries<Json>(shape.properties ?? {})) {
      const property = resolve(given);
      const kind = BODY_KINDS[name] ?? null;
      if (kind === null && !PLAIN_BODY.includes(name)) onUnknown(name);
      const isList = [property, ...(property.anyOf ?? [])].some((one) => resolve(one).type === 'array');
      body[name] = { kind, isList, isRequired: shape.required?.includes(name) ?? false };
    }
  }
  return body;
}
