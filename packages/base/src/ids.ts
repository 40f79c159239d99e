import { randomBytes, randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Identifiers and randomness as an argument, so that tests can repeat a run. */
export interface Ids {
  /** A new UUIDv7 (RFC 9562 5.7). It sorts by creation time and is monotonic within this process. */
  uuid(): string;
  /** `length` random bytes from a cryptographically secure source. */
  randomBytes(length: number): Buffer;
}

/** Random bytes are drawn for this many ids at once, because one system call per id would be most of an id's cost. */
const POOL_IDS = 512;
const SEQUENCE_MAX = 2 ** 32 - 1;

const pool = Buffer.alloc(16 * POOL_IDS);
let drawn = pool.length;
let lastMs = 0;
let sequence = 0;

/** Within one millisecond, and if the clock goes back, the sequence rises from a random start. */
function nextUuid(): string {
  if (drawn === pool.length) {
    randomFillSync(pool);
    drawn = 0;
  }
  const random = pool.subarray(drawn, (drawn += 16));
  const nowMs = Date.now();
  if (nowMs > lastMs) {
    lastMs = nowMs;
    sequence = random.readUInt32BE(6) >>> 1;
  } else if (sequence < SEQUENCE_MAX) sequence += 1;
  else {
    lastMs += 1;
    sequence = 0;
  }
  return v7({ msecs: lastMs, seq: sequence, random });
}

export const systemIds: Ids = {
  uuid: nextUuid,
  randomBytes: (length) => randomBytes(length),
};

/** The UUIDv7 with the time `atMs` (Unix ms) and random bits from `entropy` (16 bytes). The same input gives the same id. */
export function uuidFrom(atMs: number, entropy: Uint8Array): string {
  return v7({ msecs: atMs, random: entropy });
}

/** The time of a UUIDv7 in Unix ms (its first 48 bits). */
export function uuidTimeMs(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether `text` has the form of a UUID (any version, upper or lower case). */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
