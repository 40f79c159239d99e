/**
 * The house's drawing as data: rows, arrows, and which file may touch what. ARCHITECTURE.md explains it; the tests
 * beside this file hold the code to it. To change the house, change this file and ARCHITECTURE.md in one commit.
 */

/** Rows from the bottom up. A file imports only rows below its own, and its own room. */
export type Row = 'contract' | 'base' | 'port' | 'room' | 'edge' | 'door' | 'config' | 'app' | 'proofs';

/** Port -> the ports its implementations stand on. */
export const PORTS: Readonly<Record<string, readonly string[]>> = {
  database: [],
  // One implementation of the database port, with a folder of its own: it runs processes.
  'embedded-postgres': ['database'],
  'intake-log': ['database'],
  doorbell: ['database'],
  limits: ['database'],
};

/** Room -> the rooms it may call. Nothing else goes sideways. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  audit: [],
  plans: ['audit'],
  organizations: ['audit', 'plans'],
  people: ['audit', 'organizations'],
  access: ['audit', 'organizations'],
  registry: ['audit'],
  intake: [],
  // The language: pure, so it stands on the contract alone.
  mapping: [],
  products: ['mapping'],
  telemetry: [],
  vault: [],
  processing: ['mapping', 'products', 'registry', 'telemetry', 'vault'],
  query: ['registry', 'telemetry'],
  live: ['telemetry'],
  docs: [],
  // Plays the partners from outside, through the public API: it may not know any other room.
  demo: [],
};

/** What a door is called: HTTP or gRPC; with a word before it when a room has several (`admin-routes.ts`). */
export const DOOR = /^([a-z-]+-)?(routes|rpc)\.ts$/;

/** May be imported by every room, the edge and every door: who is calling is an argument, never a global. */
export const PRINCIPAL = 'server/src/access/principal.ts';

/** The file a newcomer opens first in each room; it says what the room promises, assumes, and how it fails. */
export const LEAD_FILES = [
  'access/access.ts',
  'app/backends.ts',
  'audit/chain.ts',
  'base/clock.ts',
  'database/database.ts',
  'docs/library.ts',
  'doorbell/doorbell.ts',
  'edge/http.ts',
  'embedded-postgres/embedded.ts',
  'intake-log/intake-log.ts',
  'intake/accept.ts',
  'limits/limits.ts',
  'live/rpc.ts',
  'mapping/map-payload.ts',
  'organizations/organizations.ts',
  'people/people.ts',
  'plans/plans.ts',
  'processing/mapper.ts',
  'products/products.ts',
  'query/routes.ts',
  'registry/registry.ts',
  'telemetry/append.ts',
  'telemetry/read.ts',
  'vault/vault.ts',
];

/** Implementations of ports; only app/backends.ts chooses between them. */
export const IMPLEMENTATION =
  /^server\/src\/((embedded-postgres\/embedded|database\/server)|[a-z-]+\/(postgres|local|memory|redis|broker))\.ts$/;

/** Ports whose conformance suite does not exist yet, and why. */
export const WITHOUT_CONFORMANCE: Readonly<Record<string, string>> = {
  'embedded-postgres': 'runs the suite of database/',
};

/**
 * Table -> the one room or port that writes it, in one file, so that whatever has to hold between its rows stands in one
 * place. Others may read it; who wants it changed calls a verb of that room.
 */
export const WRITERS: Readonly<Record<string, string>> = {
  api_key: 'access',
  api_key_secret: 'access',
  arrival: 'processing',
  asset: 'registry',
  audit_event: 'audit',
  audit_head: 'audit',
  device: 'registry',
  envelope: 'intake-log',
  fleet: 'registry',
  idempotency: 'intake-log',
  intake_deferred: 'intake-log',
  intake_log: 'intake-log',
  latest: 'telemetry',
  leaf_paths: 'processing',
  migration_digest: 'database',
  new_claim: 'processing',
  organization: 'organizations',
  person: 'people',
  plan: 'plans',
  product_limit: 'plans',
  product_version: 'products',
  receipt: 'processing',
  record: 'telemetry',
  retired_partition: 'database',
  session: 'people',
  signature_nonce: 'access',
  telemetry_position: 'telemetry',
  token_signing_key: 'access',
  unclaimed: 'processing',
  usage_day: 'plans',
};

/** Table -> why no file writes it. */
export const WRITTEN_BY_NOBODY: Readonly<Record<string, string>> = {
  lease: 'database/lease.ts does, over a connection of its own and so as plain text',
  access_epoch: 'triggers raise it, in the transaction of whatever it counts (migrations 0001, 0002, 0004)',
};

export interface Quarantine {
  readonly what: string;
  /** Package names, or names of things used in code. */
  readonly names: readonly string[];
  /** Where they may stand, as paths from `server/src/`. */
  readonly only: RegExp;
  readonly instead: string;
  /** Whether `import type` is fine everywhere. */
  readonly typesAreFree?: boolean;
}

export const LIBRARIES: readonly Quarantine[] = [
  {
    what: 'the PostgreSQL driver',
    names: ['pg'],
    only: /^(database\/|embedded-postgres\/|doorbell\/postgres\.ts)/,
    instead: 'take a `Database` (database/database.ts)',
  },
  {
    what: 'the query builder',
    names: ['kysely', 'kysely/migration'],
    only: /^(database\/|[a-z-]+\/([a-z-]+-)?store\.ts|(intake-log|doorbell)\/postgres\.ts)/,
    instead: "put the statement into the room's store.ts (the type `Kysely` of a transaction may travel)",
    typesAreFree: true,
  },
  {
    what: 'the HTTP server',
    names: [
      'fastify',
      'fastify-plugin',
      '@fastify/etag',
      '@fastify/swagger',
      '@fastify/type-provider-typebox',
      '@scalar/fastify-api-reference',
    ],
    only: /^(edge\/|app\/|[a-z-]+\/([a-z-]+-)?routes\.ts)/,
    instead: 'let routes.ts speak HTTP and hand plain values to the room',
  },
  {
    what: 'the gRPC server',
    names: ['@grpc/grpc-js', '@grpc/reflection', 'grpc-health-check'],
    only: /^(edge\/grpc|[a-z-]+\/([a-z-]+-)?rpc\.ts)/,
    instead: 'let rpc.ts speak gRPC and hand plain values to the room',
  },
  { what: 'the AMQP client', names: ['amqplib'], only: /\/broker\.ts$/, instead: 'use the port it stands behind' },
  {
    what: 'the Redis client',
    names: ['@redis/client'],
    only: /\/redis\.ts$/,
    instead: 'use the port it stands behind',
  },
  { what: 'the JWT library', names: ['jose'], only: /^access\//, instead: 'ask access for a Principal' },
  { what: 'the metrics library', names: ['@prometheus-io/client'], only: /^app\//, instead: 'take a callback (`onX`)' },
  {
    what: 'the expression language',
    names: ['@marcbachmann/cel-js', '@lhncbc/ucum-lhc'],
    only: /^mapping\//,
    instead: 'use a compiled mapping',
  },
  {
    what: 'the Markdown library',
    names: ['marked', 'marked-gfm-heading-id'],
    only: /^docs\/markdown\.ts/,
    instead: 'use renderMarkdown (docs/markdown.ts)',
  },
  {
    what: 'the UUID library',
    names: ['uuid'],
    only: /^base\/ids\.ts/,
    instead: 'take `Ids` (base/ids.ts)',
  },
  {
    what: 'processes',
    names: ['node:child_process', 'node:cluster', 'node:worker_threads'],
    only: /^(embedded-postgres|app)\//,
    instead: 'let app/ run it',
  },
];

export const USES: readonly Quarantine[] = [
  {
    what: 'SQL',
    names: ['sql``', '.selectFrom()', '.insertInto()', '.updateTable()', '.deleteFrom()', '.mergeInto()'],
    only: /^(database\/|[a-z-]+\/([a-z-]+-)?store\.ts|(intake-log|doorbell)\/postgres\.ts)/,
    instead: "put the statement into the room's store.ts, or into database/ when it belongs to no room",
  },
  {
    what: 'the environment',
    names: ['process.env'],
    only: /^config\.ts/,
    instead: 'add a key to config.ts and config.default.toml, and take its value as an argument',
  },
  {
    what: 'the wall clock',
    names: ['Date.now', 'new Date()', 'performance.now'],
    only: /^(base|app)\//,
    instead: 'take a `Clock` (base/clock.ts)',
  },
  {
    what: 'timers',
    names: ['setTimeout()', 'setInterval()', 'AbortSignal.timeout'],
    only: /^(base|app)\//,
    instead: 'use `clock.after` or `sleep` (base/clock.ts)',
  },
  {
    what: 'randomness',
    names: ['Math.random', 'crypto.randomUUID', 'crypto.getRandomValues'],
    only: /^base\/ids\.ts/,
    instead: 'take `Ids` (base/ids.ts)',
  },
];

/** Names that say nothing about what is inside. */
export const EMPTY_NAMES =
  /^(utils?|helpers?|common|core|managers?|services?|types|index|misc|shared|lib)$|-(utils?|helpers?|manager|service)$/;

/** One word per idea: the glossary of ARCHITECTURE.md decides. */
export const WORDS: readonly { readonly word: RegExp; readonly instead: string }[] = [
  // But for the name of the proof: `prove -- tenants`.
  { word: /(?<!prove -- |')tenan(t|cy)/i, instead: 'organization' },
  { word: /organisation/i, instead: 'organization (one spelling)' },
  { word: /dead[- ]?letter|\bdlq\b/i, instead: 'reject' },
  { word: /\b(white|black)list/i, instead: 'allowed / refused' },
  { word: /\bapi ?token/i, instead: 'API key (what is kept) or access token (what it is traded for)' },
  { word: /\braw (event|message)s?\b/i, instead: 'envelope' },
  { word: /(^|[\s"'`(])\/(work|home|Users)\//, instead: 'a path relative to the project; no path of a machine' },
  { word: /\.\.\/shared\/|\bshared\/(design|reference|payloads|seeds)/, instead: 'what the text says itself' },
  {
    word: /"resolved": "(?!https:\/\/registry\.npmjs\.org\/)/,
    instead: 'nothing: the lock file names no registry of a machine',
  },
];
