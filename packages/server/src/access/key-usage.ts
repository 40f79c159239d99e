import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { findPlainAddress } from '@gladhand/base/network.ts';
import type { Database } from '../database/database.ts';
import { markUsed } from './key-store.ts';

/**
 * When and from where each generation of a key was last used. Kept in memory and written together, each generation at
 * most once a minute, so that a request costs no write. Promise: the first use is in the database within `FLUSH_MS`,
 * later ones within a minute, the last ones at `close`. A process that is killed loses at most that; a database that
 * does not answer costs nothing but the news.
 */
export interface KeyUsage {
  touch(keyId: string, generation: number, address: string): void;
  close(): Promise<void>;
}

const FLUSH_MS = 5_000;
const WRITE_EVERY_MS = 60_000;

interface Use {
  readonly keyId: string;
  readonly generation: number;
  atMs: number;
  address: string;
  writtenAtMs: number;
  isNews: boolean;
}

export function openKeyUsage(parts: { database: Database; clock: Clock; log: Logger }): KeyUsage {
  const { database, clock, log } = parts;
  const uses = new Map<string, Use>();
  let isClosed = false;
  let cancel = () => {};

  async function flush(isLast: boolean): Promise<void> {
    const nowMs = clock.nowMs();
    const due: Use[] = [];
    for (const [name, use] of uses) {
      const isRested = nowMs - use.writtenAtMs >= WRITE_EVERY_MS;
      if (use.isNews && (isRested || isLast)) due.push(use);
      else if (isRested) uses.delete(name);
    }
    if (due.length === 0) return;
    for (const use of due) {
      use.isNews = false;
      use.writtenAtMs = nowMs;
    }
    try {
      await markUsed(
        database,
        due.map((use) => ({
          keyId: use.keyId,
          generation: use.generation,
          at: new Date(use.atMs),
          address: findPlainAddress(use.address) ?? null,
        })),
      );
    } catch (error) {
      for (const use of due) use.isNews = true;
      log.warn({ err: error, keys: due.length }, 'the last use of keys could not be written');
    }
  }

  function schedule(): void {
    if (!isClosed) cancel = clock.after(FLUSH_MS, () => void flush(false).finally(schedule));
  }
  schedule();

  return {
    touch(keyId, generation, address) {
      const name = `${keyId}/${generation}`;
      const use = uses.get(name);
      const atMs = clock.nowMs();
      if (use === undefined) {
        uses.set(name, { keyId, generation, atMs, address, writtenAtMs: Number.NEGATIVE_INFINITY, isNews: true });
        return;
      }
      use.atMs = atMs;
      use.address = address;
      use.isNews = true;
    },
    async close() {
      isClosed = true;
      cancel();
      await flush(true);
    },
  };
}
