/**
 * The routes of the OpenAPI document, with the parts of each request that name something of an organization. A parameter or
 * property that is not listed in this file goes into `unknown`, and the proof fails until it is added.
 */
export interface Operation {
  /** Method and path: `get /api/v1/fleets/{fleet}`. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly isPublic: boolean;
  /** The alternatives: each is a security scheme with the roles or scopes that it needs. */
  readonly security: readonly (readonly [scheme: string, needs: readonly string[]])[];
  /** The kind of value of each path parameter. */
  readonly pathKinds: Readonly<Record<string, Kind>>;
  /** The kind of value of each query parameter that names something of an organization. */
  readonly queryKinds: Readonly<Record<string, Kind>>;
  readonly takesCursor: boolean;
  /** Required query parameters. */
  readonly queryRequired: readonly string[];
  /** Properties of the body. Null if there is no body, or if it is a partner's payload. */
  readonly body: Readonly<Record<string, BodyProperty>> | null;
  readonly isIntake: boolean;
}

export interface BodyProperty {
  readonly isRequired: boolean;
  readonly isList: boolean;
  /** The kind of value. Null if it names nothing of an organization. */
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

/** The kinds of path parameters by name. The kind of `id` follows from the path segment before it. */
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
/** Path parameters that name data of the installation, with an existing value. */
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
 * Body properties that name nothing of another organization. Device ids and serial numbers are unique only within an
 * organization. They are listed here because a probe that sets one would change what it names in later probes.
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
  // Plans and the limits of products belong to the installation.
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
