import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse as parseToml } from 'smol-toml';
import { type Static, Type } from 'typebox';

/**
 * Configuration: one typed, validated, frozen value. This is the only file that reads the environment. The meaning
 * and default of every key stand in config.default.toml. Fails with one sentence per wrong key.
 */
const host = Type.String({ minLength: 1 });
const publicUrl = Type.String({ pattern: '^(https?://[^/?#]+/?)?$' });
const port = Type.Integer({ minimum: 0, maximum: 65_535 });
const days = Type.Integer({ minimum: 1, maximum: 36_500 });
const section = <T extends Parameters<typeof Type.Object>[0]>(fields: T) =>
  Type.Object(fields, { additionalProperties: false });

const ConfigSchema = section({
  http: section({ host, port, publicUrl, trustedProxies: Type.Array(Type.String()) }),
  authentication: section({ ownPort: Type.Boolean(), host, port, publicUrl }),
  grpc: section({
    host,
    port,
    heartbeatSeconds: Type.Integer({ minimum: 1, maximum: 60 }),
  }),
  data: section({ directory: Type.String({ minLength: 1 }) }),
  database: section({ url: Type.String(), poolSizeMax: Type.Integer({ minimum: 3, maximum: 200 }) }),
  access: section({
    secret: Type.String({ pattern: '^([0-9a-fA-F]{64})?$' }),
    issuer: Type.String({ minLength: 1 }),
    tokenTtlSeconds: Type.Integer({ minimum: 60, maximum: 86_400 }),
  }),
  intake: section({
    bodyBytesMax: Type.Integer({ minimum: 1024, maximum: 64 * 1024 * 1024 }),
    envelopeRetentionDays: days,
    backlogEnvelopesMax: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
    requirePowerLossDurability: Type.Boolean(),
  }),
  limits: section({
    redisUrl: Type.String({ pattern: '^(rediss?://.+)?$' }),
    redisWaitMsMax: Type.Integer({ minimum: 1, maximum: 10_000 }),
    perNode: Type.Boolean(),
    mode: Type.Enum(['enforce', 'report'], { type: 'string' }),
  }),
  oidc: section({
    issuer: Type.String({ pattern: '^(https?://.+)?$' }),
    clientId: Type.String(),
    clientSecret: Type.String(),
    redirectUri: Type.String({ pattern: '^(https?://.+)?$' }),
  }),
  products: section({ directory: Type.String() }),
  mapping: section({ ownThread: Type.Boolean() }),
  telemetry: section({ recordRetentionDays: days }),
  log: section({ level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], { type: 'string' }) }),
  demo: section({ enabled: Type.Boolean() }),
});

export type Config = Static<typeof ConfigSchema>;

type Sections = Record<string, Record<string, unknown>>;

export const DEFAULTS_FILE = join(import.meta.dirname, '..', 'config.default.toml');
const OWN_FILE = 'gladhand.toml';

/** `flags` are `section.key` -> value, from the command line. */
export function loadConfig(
  options: { file?: string | undefined; flags?: Readonly<Record<string, unknown>>; env?: NodeJS.ProcessEnv } = {},
): Config {
  const env = options.env ?? process.env;
  const defaults = parseToml(readFileSync(DEFAULTS_FILE, 'utf8')) as Sections;
  const merged = structuredClone(defaults);
  const file = options.file ?? (existsSync(OWN_FILE) ? OWN_FILE : undefined);
  if (file !== undefined) overlay(merged, readFile(file), file);
  overlay(merged, fromEnvironment(defaults, env), 'the environment');
  for (const [path, value] of Object.entries(options.flags ?? {})) {
    const [name, key] = path.split('.') as [string, string];
    merged[name] = { ...merged[name], [key]: value };
  }
  return validated(merged);
}

function readFile(file: string): Sections {
  try {
    return parseToml(readFileSync(file, 'utf8')) as Sections;
  } catch (error) {
    throw new ConfigError(`${file} could not be read: ${(error as Error).message}`);
  }
}

function overlay(target: Sections, source: Sections, from: string): void {
  for (const [name, values] of Object.entries(source)) {
    const known = target[name];
    if (known === undefined)
      throw new ConfigError(`${from}: there is no section [${name}]; config.default.toml lists all`);
    for (const [key, value] of Object.entries(values)) {
      if (!(key in known)) throw new ConfigError(`${from}: [${name}] has no key ${key}; config.default.toml lists all`);
      known[key] = value;
    }
  }
}

function fromEnvironment(defaults: Sections, env: NodeJS.ProcessEnv): Sections {
  const found: Sections = {};
  for (const [name, values] of Object.entries(defaults)) {
    for (const [key, standard] of Object.entries(values)) {
      const variable = `GLADHAND_${name}_${key.replace(/[A-Z]/g, (letter) => `_${letter}`)}`.toUpperCase();
      const text = env[variable] ?? (variable === 'GLADHAND_DATABASE_URL' ? env.DATABASE_URL : undefined);
      if (text !== undefined) found[name] = { ...found[name], [key]: fromText(text, standard, variable) };
    }
  }
  if (env.NODE_ENV === 'production') found.demo = { enabled: false };
  return found;
}

function fromText(text: string, standard: unknown, variable: string): unknown {
  if (Array.isArray(standard))
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  if (typeof standard === 'string') return text;
  if (typeof standard === 'number' && /^\d+$/.test(text)) return Number(text);
  if (typeof standard === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
  throw new ConfigError(
    `${variable} must be ${typeof standard === 'number' ? 'a whole number' : '`true` or `false`'}, not \`${text}\``,
  );
}

const validate = new Ajv2020({ allErrors: true, strict: false }).compile<Config>(ConfigSchema);

function validated(merged: Sections): Config {
  if (!validate(merged)) {
    const lines = (validate.errors ?? []).map(
      (error) => `${error.instancePath.slice(1).replace('/', '.')} ${error.message}`,
    );
    throw new ConfigError(`The configuration is not valid: ${lines.join('; ')}`);
  }
  for (const values of Object.values(merged)) Object.freeze(values);
  return Object.freeze(merged) as unknown as Config;
}

/** The configuration as it may be shown: no secret, and no password in a URL. */
export function withoutSecrets(config: Config): Config {
  const hidden = (secret: string) => (secret === '' ? '' : '[secret]');
  const withoutPassword = (url: string) => url.replace(/^([a-z]+:\/\/[^:/@]*):.*@/i, '$1:[secret]@');
  return {
    ...config,
    database: { ...config.database, url: withoutPassword(config.database.url) },
    access: { ...config.access, secret: hidden(config.access.secret) },
    limits: { ...config.limits, redisUrl: withoutPassword(config.limits.redisUrl) },
    oidc: { ...config.oidc, clientSecret: hidden(config.oidc.clientSecret) },
  };
}

/** Wrong configuration: the message is for the person who wrote it. */
export class ConfigError extends Error {}
