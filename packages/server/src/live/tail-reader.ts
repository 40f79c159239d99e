import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { TailRow, TelemetryReader } from '../telemetry/read.ts';
import type { LiveLimits } from './limits.ts';
import { repeat } from './repeat.ts';
import { createTail, type FilledTail } from './tail.ts';
import { createTails, type Tails } from './tails.ts';

/**
 * Reads what has become visible once for this node, and hands each record to the tail of its organization. Promise: one
 * read for each ring, however many organizations have subscribers here, and one at least every `pollMs`; each tail gets
 * every record of its organization from where it begins, in order of position; together the tails keep `windowsBytesMax`
 * at most. An organization without subscribers has no tail, and its records are not fetched. A failed read changes
 * nothing: the next ring or poll reads again from the same position.
 */
export type TailReader = Pick<Tails, 'acquire' | 'size' | 'close'>;

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

export function openTailReader(parts: TailReaderParts): TailReader {
  const { reader, clock, limits, log } = parts;
  const takeTurn = createTurns();
  const tails = createTails(openTail);
  /** Every tail that is open has been given everything up to here. */
  let position = 0;
  let isReading = false;
  let isStale = false;
  let isClosed = false;
  const window = {
    recordsMax: limits.windowRecordsMax,
    bytesMax: () => Math.min(limits.windowBytesMax, limits.windowsBytesMax / Math.max(1, tails.size)),
  };

  /** In a turn of its own: the tail begins where the next read does. */
  function openTail(organizationId: string, begin: (tail: FilledTail) => void): Promise<FilledTail> {
    const opening = takeTurn(async () => {
      // While nobody listens, nothing is read, and the position stays behind.
      if (tails.openIds().length === 0) position = await reader.head();
      const sealCursor = (through: number) => parts.sealCursor(organizationId, through);
      const tail = createTail({ position, window, sealCursor, log });
      begin(tail);
      return tail;
    });
    // Whatever came while it was being opened has already rung.
    opening.then(wake, () => {});
    return opening;
  }

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
    const organizationIds = tails.openIds();
    if (organizationIds.length === 0 || isClosed) return;
    try {
      const page = await reader.tail({ organizationIds, afterPosition: position, take: TAIL_TAKE });
      if (isClosed) return;
      position = Math.max(position, page.through);
      await handOut(tails, page.rows);
      if (!page.isCaughtUp) isStale = true;
    } catch (error) {
      isStale = false;
      log.warn({ err: error }, 'the newest records could not be read for LiveFeed; it is tried again');
    }
  }

  const silence = parts.doorbell.on('telemetry', wake);
  const cancelPoll = repeat(clock, limits.pollMs, wake);
  return {
    acquire: tails.acquire,
    get size() {
      return tails.size;
    },
    close() {
      isClosed = true;
      silence();
      cancelPoll();
      tails.close();
    },
  };
}

/** Gives every row to the tail of its organization; those of an organization whose tail is gone meanwhile go nowhere. */
async function handOut(tails: Tails, rows: readonly TailRow[]): Promise<void> {
  const filled: FilledTail[] = [];
  for (const [organizationId, own] of byOrganization(rows)) {
    const tail = tails.find(organizationId);
    if (tail === undefined) continue;
    tail.append(own);
    filled.push(tail);
  }
  await Promise.all(filled.map((tail) => tail.announce()));
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
