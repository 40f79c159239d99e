import { type Static, type TSchema, Type } from 'typebox';
import { LINE_PATTERN } from './display-name.ts';
import { ROLE_NAMES } from './organizations.ts';
import { RefusingLimitSchema, RetryAtSchema } from './refusing-limit.ts';

/** API keys, as an organization's admins make, read and revoke them, and as their owners rotate them. */
const closed = { additionalProperties: false } as const;
const uuid = (description: string) => Type.String({ format: 'uuid', description });
const instant = (description: string) => Type.String({ format: 'date-time', description });
const orNull = <S extends TSchema>(schema: S, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const line = (description: string) => Type.String({ minLength: 1, maxLength: 100, pattern: LINE_PATTERN, description });

export const API_KEY_PAGE_LIMIT_MAX = 100;
export const API_KEY_PAGE_LIMIT_DEFAULT = 20;
/** At most this many generations of a key are shown, the newest first. */
export const API_KEY_GENERATIONS_MAX = 10;
const NETWORKS_MAX = 100;
const PLANTS_MAX = 1_000;
const SCOPES_MAX = 50;

const CreatorSchema = Type.Object(
  {
    id: uuid('UUIDv7 of the user'),
    email: Type.String({ description: 'Email address' }),
    name: Type.String({ description: 'Display name' }),
    role: Type.Enum([...ROLE_NAMES], { type: 'string', description: 'Role in the organization, as it is now' }),
    createdAt: instant('When the user was made'),
    updatedAt: instant('When the user was last changed'),
  },
  { ...closed, title: 'ApiKeyCreator' },
);

const GenerationSchema = Type.Object(
  {
    generation: Type.Integer({ minimum: 1, description: '1 for the key as it was made, one more with each rotation' }),
    keyPrefix: Type.String({ description: 'What this generation of the key begins with' }),
    createdAt: instant('When it was made'),
    expiresAt: orNull(instant(''), 'The end of its overlap; null: it is the current one'),
    lastUsedAt: orNull(instant(''), 'When it was last used, to the minute; null: never'),
    lastUsedAddress: orNull(Type.String(), 'From which address; null: never, or not known'),
  },
  {
    ...closed,
    title: 'ApiKeyGeneration',
    description: 'One generation of a key: who still uses the old one after a rotation',
  },
);

export const ApiKeySchema = Type.Object(
  {
    id: uuid('UUIDv7 of the key'),
    organizationId: uuid('Whose key it is'),
    partnerId: Type.String({ description: 'External partner identifier' }),
    name: Type.String({ description: 'Human-readable name' }),
    keyPrefix: Type.String({ description: 'What the current key begins with; of no use to anybody' }),
    audience: Type.Enum(['partner', 'customer'], {
      type: 'string',
      description: 'Where it authenticates: /partners or /customers',
    }),
    scopes: Type.Array(Type.String(), { description: 'What it may do' }),
    allowedIps: Type.Array(Type.String(), { description: 'Networks it may be used from; empty: any address' }),
    allowedPlantIds: orNull(Type.Array(uuid('')), 'Plants it is restricted to; null: every plant of the organization'),
    requireSignature: Type.Boolean({ description: 'Whether its intake has to be signed' }),
    expiresAt: orNull(instant(''), 'When it stops being good; null: never'),
    isActive: Type.Boolean({ description: 'Neither revoked nor expired' }),
    revokedAt: orNull(instant(''), 'When it was revoked; null: it was not'),
    lastUsedAt: orNull(instant(''), 'When it was last used, to the minute; null: never'),
    vhost: Type.String({ description: 'Its own virtual host at the message broker, for keys with amqp:connect' }),
    createdBy: orNull(uuid(''), 'The user who made it; null: the command line did'),
    creator: orNull(CreatorSchema, 'The user who made it; null when that is nobody of this organization'),
    generations: Type.Array(GenerationSchema, { description: `The newest ${API_KEY_GENERATIONS_MAX}, newest first` }),
    createdAt: instant('When it was made'),
    updatedAt: instant('When it was last changed'),
  },
  { ...closed, title: 'ApiKey', description: 'An API key, without the key itself' },
);
export type ApiKey = Static<typeof ApiKeySchema>;

export const ApiKeyPageSchema = Type.Object(
  {
    data: Type.Array(ApiKeySchema, { description: 'Newest first, revoked ones too' }),
    meta: Type.Object(
      {
        limit: Type.Integer({ description: 'Keys per page' }),
        page: Type.Integer({ description: 'This page, from 1' }),
        total: Type.Integer({ description: 'Keys in all' }),
        totalPages: Type.Integer({ description: 'Pages in all; 0 when there is no key' }),
      },
      closed,
    ),
  },
  { ...closed, title: 'ApiKeyPage' },
);
export type ApiKeyPage = Static<typeof ApiKeyPageSchema>;

export const ApiKeyPageQuery = Type.Object(
  {
    page: Type.Optional(Type.Integer({ minimum: 1, default: 1, description: 'Page number (1-indexed)' })),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: API_KEY_PAGE_LIMIT_MAX,
        default: API_KEY_PAGE_LIMIT_DEFAULT,
        description: 'Items per page',
      }),
    ),
  },
  closed,
);

const restrictions = {
  allowedIps: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 50 }), {
      maxItems: NETWORKS_MAX,
      description:
        'CIDR allowlist, such as ["10.20.30.0/24", "2001:db8::/32"]; a bare address is that address alone. Empty or left out: any address.',
    }),
  ),
  allowAnyAddress: Type.Optional(
    Type.Boolean({
      description: 'Must be true for 0.0.0.0/0 or ::/0 to be taken, so that nobody opens a key by a slip.',
    }),
  ),
  allowedPlantIds: Type.Optional(
    orNull(
      Type.Array(uuid(''), { maxItems: PLANTS_MAX }),
      'Restrict the key to these plants; null or left out: all of the organization; an empty list: none.',
    ),
  ),
  expiresAt: Type.Optional(orNull(instant(''), 'When the key stops being good (RFC 3339); null or left out: never.')),
  requireSignature: Type.Optional(Type.Boolean({ description: 'Refuse intake that is not signed. Default false.' })),
};

export const NewApiKeyBody = Type.Object(
  {
    name: line('Human-readable name for the key'),
    partnerId: line('External partner identifier'),
    scopes: Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
      minItems: 1,
      maxItems: SCOPES_MAX,
      description:
        'Permission scopes. A key that writes has telemetry:write and exactly one product:<name> and nothing else; every other key reads.',
    }),
    ...restrictions,
  },
  { ...closed, title: 'NewApiKey' },
);
export type NewApiKey = Static<typeof NewApiKeyBody>;

export const ApiKeyChangeBody = Type.Object(
  { name: Type.Optional(line('Human-readable name for the key')), ...restrictions },
  {
    ...closed,
    minProperties: 1,
    title: 'ApiKeyChange',
    description: 'What is left out stays as it is. Scopes never change: make another key.',
  },
);
export type ApiKeyChange = Static<typeof ApiKeyChangeBody>;

export const CreatedApiKeySchema = Type.Object(
  {
    apiKey: ApiKeySchema,
    key: Type.String({ description: 'The key, for X-API-KEY. Shown this once' }),
    signingKey: Type.String({ description: '32 bytes as hex, to sign requests with. Shown this once' }),
  },
  { ...closed, title: 'CreatedApiKey' },
);
export type CreatedApiKey = Static<typeof CreatedApiKeySchema>;

export const RevokedApiKeySchema = Type.Object(
  { message: Type.String({ description: 'What was done' }) },
  { ...closed, title: 'RevokedApiKey' },
);

/** The errors of /partner/api-keys. `statusCode` is the status of the HTTP answer. */
export const EnvelopeSchema = Type.Object(
  {
    statusCode: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status' }),
    error: Type.String({ description: 'Its reason phrase' }),
    code: Type.String({ description: 'The code; codes never change' }),
    message: Type.String({ description: 'What is wrong with this request and what to do about it' }),
    details: Type.Object(
      {
        requestId: uuid('Quote it when you ask for help'),
        errors: Type.Optional(
          Type.Array(
            Type.Object(
              {
                pointer: Type.String({ description: 'JSON Pointer (RFC 6901)' }),
                code: Type.String(),
                detail: Type.String(),
              },
              closed,
            ),
            { description: 'One entry per finding, 20 at most' },
          ),
        ),
        limit: Type.Optional(RefusingLimitSchema),
        retryAt: Type.Optional(RetryAtSchema),
      },
      closed,
    ),
  },
  { ...closed, title: 'ErrorEnvelope' },
);

export const ROTATION_OVERLAP_SECONDS_MAX = 604_800;

export const RotateKeyBody = Type.Object(
  {
    overlapSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: ROTATION_OVERLAP_SECONDS_MAX,
        default: 0,
        description: 'How long the old key and its tokens stay good beside the new ones. 0: they die with this answer.',
      }),
    ),
  },
  { ...closed, title: 'RotateKey' },
);

export const RotatedKeySchema = Type.Object(
  {
    key: Type.String({ description: 'The new key. Shown this once' }),
    keyPrefix: Type.String({ description: 'What it begins with' }),
    signingKey: Type.String({ description: 'The new key to sign requests with, 32 bytes as hex. Shown this once' }),
    generation: Type.Integer({ description: 'Which generation of the key it is' }),
    previousKeyExpiresAt: instant('When the old key and every token made with it stop being good'),
  },
  { ...closed, title: 'RotatedKey' },
);
