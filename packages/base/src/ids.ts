import { randomBytes, randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Identifiers and randomness as an argument, so that tests can repeat a run. */
export interface Ids {
  /** A new UUIDv7 (RFC 9562 5.7). It sorts by creation time and rises within this process while the clock does. */
  uuid(): string;
  /** `length` random bytes from a cryptographically secure source. */
  randomBytes(length: number): Buffer;
}

/** Random bytes are drawn for this many ids at once, because one system call per id would be most of an id's cost. */
const POOL_IDS = 512;
const SEQUENCE_MAX = 2 ** 32 - 1;
/** A clock that goes back by less is waited for, so that ids rise; by more, it was wrong before and is followed. */
const CLOCK_BACK_MS_MAX = 1_000;

/** Ids of this clock: their time is never more than `CLOCK_BACK_MS_MAX` ahead of it. */
export function createIds(nowMs: () => number): Ids {
  const pool = Buffer.alloc(16 * POOL_IDS);
  let drawn = pool.length;
  let lastMs = 0;
  let sequence = 0;

  /** Within one millisecond, or should the clock go back a little, the sequence rises from a random start. */
  function uuid(): string {
    if (drawn === pool.length) {
      randomFillSync(pool);
      drawn = 0;
    }
    const random = pool.subarray(drawn, (drawn += 16));
    const atMs = nowMs();
    if (atMs > lastMs || lastMs - atMs > CLOCK_BACK_MS_MAX) {
      lastMs = atMs;
      sequence = random.readUInt32BE(6) >>> 1;
    } else if (sequence < SEQUENCE_MAX) sequence += 1;
    else {
      lastMs += 1;
      sequence = 0;
    }
    return v7({ msecs: lastMs, seq: sequence, random });
  }

  return { uuid, randomBytes: (length) => randomBytes(length) };
}

export const systemIds: Ids = createIds(() => Date.now());

/** The UUIDv7 whose time is `atMs` and whose random bits are taken from `entropy` (16 bytes): same input, same id. */
export function uuidFrom(atMs: number, entropy: Uint8Array): string {
  return v7({ msecs: atMs, random: entropy });
}

/** The millisecond a UUIDv7 was made in (its first 48 bits). */
export function uuidTimeMs(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether `text` is written as a UUID (any version, either case). */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
