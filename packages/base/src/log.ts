import { type Logger as PinoLogger, pino } from 'pino';

/**
 * Structured logs: one JSON object per line on stdout. Promise: no credential is written. The fields that may hold a secret
 * are listed below and replaced. Assumes that callers log ids, never keys, tokens or bodies.
 */
export type Logger = PinoLogger;

const SECRETS = [
  'authorization',
  'cookie',
  'password',
  'key',
  'token',
  'accessToken',
  'signingKey',
  'secret',
  '["x-api-key"]',
];

export function createLogger(options: { level: string; destination?: NodeJS.WritableStream }): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: SECRETS.flatMap((name) => (name.startsWith('[') ? [name, `*${name}`] : [name, `*.${name}`])),
        censor: '[secret]',
      },
    },
    options.destination ?? process.stdout,
  );
}

/** A logger that writes nothing, for tests and for commands whose output is their result. */
export const silentLogger: Logger = pino({ level: 'silent' });
