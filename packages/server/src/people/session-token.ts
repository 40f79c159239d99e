import { createHash } from 'node:crypto';

/** The form of a session's token: a prefix that scanners know, and 256 random bits. Only its SHA-256 is kept. */
const PREFIX = 'gladhand_session_';
const PATTERN = new RegExp(`^${PREFIX}[A-Za-z0-9_-]{43}$`);

export function createSessionToken(randomBytes: (length: number) => Buffer): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

export function isSessionToken(text: string): boolean {
  return PATTERN.test(text);
}

export function digestSessionToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
