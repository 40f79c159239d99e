import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from '@gladhand/base/log.ts';
import type { FeedRow } from '../telemetry/read.ts';
import { assembleBatch, type Batch, toEntry } from './batch.ts';
import type { RecordFilter } from './filter.ts';
import { createWindow, type WindowLimits } from './window.ts';

/**
 * The end of one organization's feed, in memory for all of its subscribers on this node. Promise: every record above
 * `floor` that was read is in it, in order of position; subscribers with the same filter at the same position share one
 * encoded message.
 */
export interface Tail {
  /** Below this the window has nothing: read the store. */
  readonly floor: number;
  /** The next message after `position` for this filter, or undefined when the tail is no further than that. */
  next(filter: RecordFilter, position: number): Batch | undefined;
  /** Calls `hear` whenever there is more; the answer stops it. */
  listen(hear: () => void): () => void;
}

/** As whoever reads the store has it. */
export interface FilledTail extends Tail {
  /** Rows with positions above all that are there, ascending. */
  append(rows: readonly FeedRow[]): void;
  /** Calls every listener. */
  announce(): Promise<void>;
  close(): void;
}

export interface TailParts {
  /** Where the tail begins, empty. */
  readonly position: number;
  readonly window: WindowLimits;
  readonly sealCursor: (position: number) => string;
  readonly log: Logger;
}

/** Messages kept to be shared. Subscribers that keep up are all at the same few positions. */
const SHARED_MAX = 32;
/** After so many listeners, some milliseconds of writing, everything else in the process gets its turn. */
const LISTENERS_PER_TURN = 100;

export function createTail(parts: TailParts): FilledTail {
  const window = createWindow(parts.position, parts.window);
  const listeners = new Set<() => void>();
  const shared = new Map<string, Batch>();
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
      const batch = assembleBatch(found.entries, found.start, filter, parts.sealCursor, parts.log);
      if (shared.size >= SHARED_MAX) shared.clear();
      shared.set(key, batch);
      return batch;
    },
    listen(hear) {
      listeners.add(hear);
      return () => listeners.delete(hear);
    },
    append(rows) {
      window.append(rows.map(toEntry));
    },
    async announce() {
      let heard = 0;
      for (const hear of listeners) {
        hear();
        heard += 1;
        if (heard % LISTENERS_PER_TURN === 0) await breathe();
      }
    },
    close() {
      listeners.clear();
    },
  };
}
