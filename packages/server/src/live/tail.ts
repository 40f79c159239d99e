import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from '@gladhand/base/log.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { assembleBatch, type Batch, toEntry } from './batch.ts';
import type { RecordFilter } from './filter.ts';
import { createWindow, type WindowLimits } from './window.ts';

/**
 * The end of one organization's feed, read once on this node for all of its subscribers. Promise: after `wake`, every
 * record that is visible gets into the window, in order of position, and every listener is called; subscribers with
 * the same filter at the same place share one encoded message. Assumes that somebody calls `wake` now and then even
 * when nothing rang. A failed read changes nothing: the next `wake` reads again.
 */
export interface Tail {
  /** Below this the window has nothing: read the store. */
  readonly floor: number;
  /** The next message after `position` for this filter, or undefined when the tail is no further than that. */
  next(filter: RecordFilter, position: number): Batch | undefined;
  /** Calls `hear` whenever there is more; the answer stops it. */
  listen(hear: () => void): () => void;
  wake(): void;
  close(): void;
}

export interface TailParts {
  readonly organizationId: string;
  readonly reader: TelemetryReader;
  readonly window: WindowLimits;
  readonly sealCursor: (position: number) => string;
  readonly log: Logger;
}

/** Records read at once: several mapping batches, and some 20 ms to encode at worst. */
export const TAIL_TAKE = 500;
/** Messages kept to be shared. Subscribers that keep up are all at the same few places. */
const SHARED_MAX = 32;
/** After so many listeners, some milliseconds of writing, everything else in the process gets its turn. */
const LISTENERS_PER_TURN = 100;

/** Opens the tail at the newest visible position. */
export async function openTail(parts: TailParts): Promise<Tail> {
  const { organizationId, reader, log } = parts;
  const window = createWindow(await reader.head(), parts.window);
  const listeners = new Set<() => void>();
  const shared = new Map<string, Batch>();
  let isReading = false;
  let isStale = false;
  let isClosed = false;

  async function announce(): Promise<void> {
    let heard = 0;
    for (const hear of listeners) {
      hear();
      heard += 1;
      if (heard % LISTENERS_PER_TURN === 0) await breathe();
    }
  }

  async function read(): Promise<void> {
    isReading = true;
    try {
      do {
        isStale = false;
        const page = await reader.feed({ organizationId, afterPosition: window.head, take: TAIL_TAKE });
        if (isClosed) continue;
        window.append(page.rows.map(toEntry), page.through);
        if (!page.isCaughtUp) isStale = true;
        if (page.rows.length > 0) await announce();
      } while (isStale && !isClosed);
    } catch (error) {
      log.warn({ err: error, organizationId }, 'the tail of the feed could not be read; it is tried again');
    } finally {
      isReading = false;
    }
  }

  return {
    get floor() {
      return window.floor;
    },
    next(filter, position) {
      const key = `${position} ${filter.key}`;
      const known = shared.get(key);
      if (known) return known;
      const found = window.after(position);
      if (found === undefined) return undefined;
      const batch = assembleBatch(found.entries, found.start, filter, parts.sealCursor, log);
      if (shared.size >= SHARED_MAX) shared.clear();
      shared.set(key, batch);
      return batch;
    },
    listen(hear) {
      listeners.add(hear);
      return () => listeners.delete(hear);
    },
    wake() {
      isStale = true;
      if (!isReading && !isClosed) void read();
    },
    close() {
      isClosed = true;
      listeners.clear();
    },
  };
}
