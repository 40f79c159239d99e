import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { TailPage, TailRow, TelemetryReader } from '../telemetry/read.ts';
import type { LiveLimits } from './limits.ts';
import { repeat } from './repeat.ts';
import { createTail, type FilledTail, type Tail } from './tail.ts';

/**
 * Reads what has become visible once for this node, and hands each record to the tail of its organization. Promise: one
 * read for each ring, however many organizations have subscribers here, and one at least every `pollMs`; each tail gets
 * every record of its organization from where it begins, in order of position; together the tails keep `windowsBytesMax`
 * at most. An organization without subscribers has no tail, and its records are not fetched. A failed read changes
 * nothing: the next ring or poll reads again from the same position.
 */
export interface TailReader {
  /** The organization's tail, opened if this is its first user. Call `release` once when done. */
  acquire(organizationId: string): Promise<{ readonly tail: Tail; release(): void }>;
  /** Organizations that have a tail. */
  readonly size: number;
  close(): void;
}

export interface TailReaderParts {
  readonly reader: TelemetryReader;
  readonly doorbell: Doorbell;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: LiveLimits;
  readonly sealCursor: (organizationId: string, position: number) => string;
}

/** Records read at once: several mapping batches, and some 20 ms to encode at worst. */
export const TAIL_TAKE = 500;

interface Held {
  readonly opening: Promise<FilledTail>;
  /** Null until the tail is read. */
  open: FilledTail | null;
  users: number;
}

export function openTailReader(parts: TailReaderParts): TailReader {
  const { reader, clock, limits, log } = parts;
  const held = new Map<string, Held>();
  const takeTurn = createTurns();
  /** Every tail that is open has been given everything up to here. */
  let position = 0;
  let isReading = false;
  let isStale = false;
  let isClosed = false;
  const window = {
    recordsMax: limits.windowRecordsMax,
    bytesMax: () => Math.min(limits.windowBytesMax, limits.windowsBytesMax / Math.max(1, held.size)),
  };

  const openIds = () => [...held].flatMap(([organizationId, { open }]) => (open === null ? [] : [organizationId]));

  function wake(): void {
    isStale = true;
    if (isReading || isClosed) return;
    isReading = true;
    void takeTurn(readPage).then(() => {
      isReading = false;
      if (isStale) wake();
    });
  }

  /** One page in each turn, so that a tail can be opened between two of them. */
  async function readPage(): Promise<void> {
    isStale = false;
    const organizationIds = openIds();
    if (organizationIds.length === 0 || isClosed) return;
    try {
      const page = await reader.tail({ organizationIds, afterPosition: position, take: TAIL_TAKE });
      if (!isClosed) await handOut(page);
      if (!page.isCaughtUp) isStale = true;
    } catch (error) {
      isStale = false;
      log.warn({ err: error }, 'the newest records could not be read for LiveFeed; it is tried again');
    }
  }

  async function handOut({ rows, through }: TailPage): Promise<void> {
    position = Math.max(position, through);
    const filled: FilledTail[] = [];
    for (const [organizationId, own] of byOrganization(rows)) {
      const tail = held.get(organizationId)?.open;
      if (tail == null) continue;
      tail.append(own);
      filled.push(tail);
    }
    await Promise.all(filled.map((tail) => tail.announce()));
  }

  /** In a turn of its own: the tail begins where the next read does. */
  async function open(organizationId: string): Promise<FilledTail> {
    // While nobody listens, nothing is read, and the position stays behind.
    if (openIds().length === 0) position = await reader.head();
    const sealCursor = (at: number) => parts.sealCursor(organizationId, at);
    return createTail({ position, window, sealCursor, log });
  }

  function hold(organizationId: string): Held {
    const opening = takeTurn(async () => {
      const tail = await open(organizationId);
      made.open = tail;
      return tail;
    });
    const made: Held = { opening, open: null, users: 0 };
    held.set(organizationId, made);
    // Whatever came while it was being opened has already rung.
    opening.then(wake, () => {});
    return made;
  }

  const silence = parts.doorbell.on('telemetry', wake);
  const cancelPoll = repeat(clock, limits.pollMs, wake);

  return {
    async acquire(organizationId) {
      const used = held.get(organizationId) ?? hold(organizationId);
      used.users += 1;
      let isReleased = false;
      const release = () => {
        if (isReleased) return;
        isReleased = true;
        used.users -= 1;
        if (used.users > 0) return;
        if (held.get(organizationId) === used) held.delete(organizationId);
        used.open?.close();
      };
      try {
        return { tail: await used.opening, release };
      } catch (error) {
        release();
        throw error;
      }
    },
    get size() {
      return held.size;
    },
    close() {
      isClosed = true;
      silence();
      cancelPoll();
      for (const { open: tail } of held.values()) tail?.close();
      held.clear();
    },
  };
}

/** Runs what it is given one after the other, in the order given. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  return <Result>(work: () => Promise<Result>): Promise<Result> => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
}

function byOrganization(rows: readonly TailRow[]): Map<string, TailRow[]> {
  const own = new Map<string, TailRow[]>();
  for (const row of rows) {
    const list = own.get(row.organizationId);
    if (list === undefined) own.set(row.organizationId, [row]);
    else list.push(row);
  }
  return own;
}
