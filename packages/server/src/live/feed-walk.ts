import type { Logger } from '@gladhand/base/log.ts';
import type { Batch } from './batch.ts';
import type { RecordFilter } from './filter.ts';
import type { History } from './history.ts';
import { createPageMessages, type PageMessages } from './page-messages.ts';
import type { Tail } from './tail.ts';

/**
 * Where a subscriber is in its feed, and the next message from there: from the store while it is behind the tail's window,
 * else from the window. Promise: every record after the starting position that passes the filter, once and in order.
 */
export interface FeedWalk {
  /** Everything up to here was given. */
  readonly position: number;
  /** The store has to be read before there is a next message. */
  readonly isBehind: boolean;
  /** Undefined when there is nothing more now. */
  next(): Batch | undefined;
  /** Reads a page of the past. Throws when the store cannot be read. */
  readPast(): Promise<void>;
  /** Lets go of what is held when it is more than `bytesMax`: the page can be read again. */
  shrink(bytesMax: number): void;
}

export interface FeedWalkParts {
  readonly organizationId: string;
  readonly filter: RecordFilter;
  readonly position: number;
  readonly tail: Tail;
  readonly history: History;
  readonly sealCursor: (position: number) => string;
  readonly log: Logger;
}

export function createFeedWalk(parts: FeedWalkParts): FeedWalk {
  const { filter, tail } = parts;
  let { position } = parts;
  let page: PageMessages | null = null;
  return {
    get position() {
      return position;
    },
    get isBehind() {
      return page === null && position < tail.floor;
    },
    next() {
      const batch = page === null ? tail.next(filter, position) : page.next();
      if (batch === undefined) return undefined;
      position = batch.through;
      if (page?.isOver) page = null;
      return batch;
    },
    async readPast() {
      const read = await parts.history.read(parts.organizationId, filter, position);
      page = createPageMessages(read, filter, parts.sealCursor, parts.log);
    },
    shrink(bytesMax) {
      if (page !== null && page.bytes > bytesMax) page = null;
    },
  };
}
