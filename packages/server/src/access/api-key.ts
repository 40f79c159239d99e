import { createHmac, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * The form of an API key: `gladhand_<id>_<secret><checksum>`, all base62: a public id of 12 characters, 43 characters
 * that carry 256 random bits, and 6 of CRC-32 over everything before them, so that a typo is refused, and a scanner is
 * certain, without asking a database. Pattern for scanners: `gladhand_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}`.
 * What is stored is HMAC-SHA-256 of the whole key under a pepper derived from the installation secret. A slow password
 * hash would buy nothing against 256 random bits and would be a lever for overload (19 ms against 3 us a try).
 */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PATTERN = /^gladhand_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

export const PEPPER_VERSION = 1;

export interface NewApiKey {
  /** The whole key; shown once and never stored. */
  readonly plaintext: string;
  readonly publicId: string;
  /** What lists show: enough to tell keys apart, nothing that helps to use one. */
  readonly prefix: string;
}

export function createApiKey(randomBytes: (length: number) => Buffer): NewApiKey {
  // 9 bytes are 72 bits: 62^12 is 71.45 bits, the little excess is cut off and nothing depends on it.
  const publicId = base62(randomBytes(9), 12);
  const prefix = `gladhand_${publicId}`;
  const body = `${prefix}_${base62(randomBytes(32), 43)}`;
  return { plaintext: body + checksum(body), publicId, prefix };
}

/** The public id of a well-formed key with a right checksum; undefined for anything else. */
export function findPublicId(text: string): string | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  return checksum(text.slice(0, -6)) === match[3] ? match[1] : undefined;
}

export function digestApiKey(pepper: Buffer, plaintext: string): Buffer {
  return createHmac('sha256', pepper).update(plaintext).digest();
}

/** Compares in constant time. */
export function isSameDigest(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function checksum(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return base62(bytes, 6);
}

function base62(bytes: Buffer, length: number): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let place = 0; place < length; place++) {
    text = ALPHABET[Number(rest % 62n)] + text;
    rest /= 62n;
  }
  return text;
}
