import type { Clock } from '@gladhand/base/clock.ts';
import { coalesce } from '@gladhand/base/coalesce.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from './database.ts';
import { inTime } from './in-time.ts';

/**
 * Whether what this node remembers is still true. PostgreSQL raises one number, the epoch, in the transaction of every
 * change that a node must know of before it admits the next request: of keys, people, sessions, plans and limits.
 * Promise: the number is read once per `POLL_MS` for the whole process, whatever the number of caches, and at once after
 * a ring; every rise is told to whoever asked for it; what is fresh was true when the read that says so was asked, not
 * when its answer came, and a read asked before a ring never makes anything fresh after it. Assumes that whoever commits
 * such a change calls `announceChange`; a change that is not announced is known after the next poll. Fails closed: while
 * the database does not answer, nothing stays fresh for longer than the cache allows.
 */
export interface Epoch {
  /** The number as it was read last. What was read under another one may be stale. */
  readonly value: number;
  /** Whether what is remembered was true at some moment of the last `ageMsMax` milliseconds, and no ring came since. */
  isFresh(ageMsMax: number): boolean;
  /** Reads the number; resolves after a read that began after the call. Throws `temporarily-unavailable` or what the database throws. */
  refresh(): Promise<void>;
  /** Calls `listen` after every rise that this node learns of, in the order of the calls of `onRise`; the answer stops it. */
  onRise(listen: () => void): () => void;
  /** To be called after a change is committed: other nodes are rung, and this one knows when it resolves. Never throws. */
  announceChange(): Promise<void>;
  close(): void;
}

export interface EpochParts {
  readonly database: Pick<Database, 'system'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** As much of the doorbell as is used here. */
  readonly doorbell: { ring(topic: 'keys'): void; on(topic: 'keys', listen: () => void): () => void };
}

const POLL_MS = 250;

export async function openEpoch(parts: EpochParts): Promise<Epoch> {
  const { database, clock, log, doorbell } = parts;
  const listeners = new Set<() => void>();
  let value = Number.NEGATIVE_INFINITY;
  let asked = 0;
  let answered = 0;
  let rings = 0;
  let freshAtMs = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    asked += 1;
    const [mine, ringsBefore, askedAtMs] = [asked, rings, clock.monotonicMs()];
    const current = await readEpoch(database);
    // An answer that was given up for lost and comes after a newer one says nothing any more.
    if (mine < answered) return;
    answered = mine;
    if (ringsBefore === rings) freshAtMs = askedAtMs;
    if (current === value) return;
    value = current;
    for (const listen of [...listeners]) listen();
  }

  const refresh = coalesce(() =>
    inTime(clock, 'Whether access has changed cannot be checked right now. Try again.', look()),
  );

  /** What is known may be stale from here on, also where a read is under way. */
  function distrust(): void {
    rings += 1;
    freshAtMs = Number.NEGATIVE_INFINITY;
  }

  // Before the first reading, so that no ring falls between the two.
  const stopListening = doorbell.on('keys', () => {
    distrust();
    refresh().catch(() => {});
  });
  await refresh();
  const stopPolling = pollEvery(POLL_MS, refresh, { clock, log });

  return {
    get value() {
      return value;
    },
    isFresh: (ageMsMax) => clock.monotonicMs() - freshAtMs <= ageMsMax,
    refresh,
    onRise(listen) {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    async announceChange() {
      distrust();
      doorbell.ring('keys');
      await refresh().catch((error: unknown) => log.warn({ err: error }, 'a change of access is not known here yet'));
    },
    close() {
      stopPolling();
      stopListening();
      listeners.clear();
    },
  };
}

/** Says once when `work` begins to fail, and once when it succeeds again. The answer stops it. */
function pollEvery(
  intervalMs: number,
  work: () => Promise<void>,
  { clock, log }: Pick<EpochParts, 'clock' | 'log'>,
): () => void {
  let isLost = false;
  let isStopped = false;
  let cancel = () => {};
  async function run(): Promise<void> {
    try {
      await work();
      if (isLost) log.info('whether access has changed can be checked again');
      isLost = false;
    } catch (error) {
      if (!isLost && !isStopped)
        log.warn({ err: error }, 'whether access has changed cannot be checked; nobody is admitted from memory');
      isLost = true;
    }
    schedule();
  }
  function schedule(): void {
    if (!isStopped) cancel = clock.after(intervalMs, () => void run());
  }
  schedule();
  return () => {
    isStopped = true;
    cancel();
  };
}

/** The number as it stands in the database now. */
export async function readEpoch(database: Pick<Database, 'system'>): Promise<number> {
  const row = await database.system.selectFrom('access_epoch').select('value').executeTakeFirstOrThrow();
  return Number(row.value);
}
