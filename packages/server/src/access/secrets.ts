import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';

/**
 * The installation secret: 32 bytes that live outside the database, from which every other secret is derived by
 * HKDF-SHA-256 (RFC 5869) under a label. Promise: a copy of the database authenticates nothing, and nothing secret
 * has to be stored to be found again. Assumes every node of an installation has the same secret; losing it voids
 * every key, token and cursor.
 */
export interface Secrets {
  /** 32 bytes that depend on the installation secret and the label only. */
  derive(label: string): Buffer;
  /** The Ed25519 key pair (RFC 8032) with this number. */
  signingKey(number: number): { privateKey: KeyObject; publicKey: KeyObject };
}

const SECRET_BYTES = 32;

export function createSecrets(installationSecret: Buffer): Secrets {
  if (installationSecret.length !== SECRET_BYTES)
    throw new Error(`the installation secret must have ${SECRET_BYTES} bytes`);
  const derive = (label: string) =>
    Buffer.from(hkdfSync('sha256', installationSecret, Buffer.alloc(0), `gladhand/${label}`, SECRET_BYTES));
  // RFC 8410: an Ed25519 private key in PKCS#8 is this fixed header and the 32-byte seed.
  const header = Buffer.from('302e020100300506032b657004220420', 'hex');
  return {
    derive,
    signingKey(number) {
      const der = Buffer.concat([header, derive(`token-signing/${number}`)]);
      const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
      return { privateKey, publicKey: createPublicKey(privateKey) };
    },
  };
}

/** Reads the installation secret (64 hex digits) from its file; creates file and secret when there is none. */
export function readSecretFile(path: string, randomBytes: (length: number) => Buffer): Buffer {
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const draft = `${path}.${process.pid}`;
    const file = openSync(draft, 'wx', 0o600);
    writeSync(file, `${randomBytes(SECRET_BYTES).toString('hex')}\n`);
    fsyncSync(file);
    closeSync(file);
    renameSync(draft, path);
  }
  return parseSecret(readFileSync(path, 'utf8'), path);
}

/** 64 hex digits to 32 bytes; `source` names where they came from, for the message. */
export function parseSecret(text: string, source: string): Buffer {
  const hex = text.trim();
  if (!/^[0-9a-f]{64}$/i.test(hex))
    throw new StartRefusal(`${source} must hold 64 hex digits (make them with: openssl rand -hex 32)`);
  return Buffer.from(hex, 'hex');
}
