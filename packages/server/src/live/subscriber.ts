import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import type { RecordFilter } from './filter.ts';
import type { History } from './history.ts';
import type { LiveLimits } from './limits.ts';
import { createOutlet, type Sink } from './outlet.ts';
import { createPageMessages, type PageMessages } from './page-messages.ts';
import { repeat } from './repeat.ts';
import { snapshotMessages } from './snapshot.ts';
import type { Tail } from './tail.ts';
import { heartbeatMessage, snapshotMessage } from './wire.ts';

/**
 * One subscriber: a position, and an outlet it is pushed through. Promise: every record after the starting position
 * that passes the filter is written exactly once, in order of position. There is no queue that could overflow: a
 * subscriber that keeps up takes from the tail's window, one that has fallen behind it reads the store by its own
 * position, and goes over to the window when it gets there. One that reads nothing at all is ended, with the cursor
 * to resume from.
 */
export interface Subscriber {
  /** After everything written so far; null while a snapshot is going out, which cannot be resumed half-way. */
  readonly resumePosition: number | null;
  start(): void;
  close(): void;
}

export interface SubscriberParts {
  readonly organizationId: string;
  readonly filter: RecordFilter;
  /** Everything after it is sent. */
  readonly position: number;
  /** Send the latest values first. */
  readonly snapshot: boolean;
  /** Said before anything else. */
  readonly greeting: Buffer | null;
  readonly sink: Sink;
  readonly tail: Tail;
  readonly history: History;
  readonly reader: TelemetryReader;
  readonly sealCursor: (position: number) => string;
  readonly clock: Clock;
  readonly limits: LiveLimits;
  readonly log: Logger;
  readonly onSent: (records: number) => void;
  /** Called at most once, when the stream cannot go on. */
  readonly onFailed: (fault: Fault) => void;
}

export function createSubscriber(parts: SubscriberParts): Subscriber {
  const { organizationId, filter, tail, history, clock, limits, sealCursor, log } = parts;
  let position = parts.position;
  let isClosed = false;
  /** Waiting for the store: a page, or the snapshot. */
  let isBusy = false;
  let isInSnapshot = parts.snapshot;
  let page: PageMessages | null = null;
  let whenReady: (() => void) | null = null;
  const undo: (() => void)[] = [];

  const fail = (error: unknown) => {
    if (!isClosed) parts.onFailed(error instanceof Fault ? error : unreadable(error));
  };
  const outlet = createOutlet({
    sink: parts.sink,
    clock,
    bytesMax: limits.waitingBytesMax,
    stallTtlMs: limits.stallTtlMs,
    onReady: () => (whenReady === null ? advance() : whenReady()),
    onStalled: () => fail(readingTooSlowly(limits.stallTtlMs)),
  });

  function advance(): void {
    if (isBusy) return;
    try {
      while (!isClosed && !outlet.isFull) {
        if (page === null && position < tail.floor) return readHistory();
        if (!sendNext()) return;
      }
      // What a subscriber that has stopped reading holds on to stays small: it can read the page again.
      if (page !== null && page.bytes > limits.waitingBytesMax * 4) page = null;
    } catch (error) {
      fail(error);
    }
  }

  /** Of the page of the past, if there is one, else of the tail. Tells whether there was anything. */
  function sendNext(): boolean {
    const batch = page === null ? tail.next(filter, position) : page.next();
    if (batch === undefined) return false;
    position = batch.through;
    if (page?.isOver) page = null;
    if (batch.message !== null) {
      parts.onSent(batch.records);
      outlet.write(batch.message);
    }
    return true;
  }

  function readHistory(): void {
    isBusy = true;
    history.read(organizationId, filter, position).then((read) => {
      isBusy = false;
      page = createPageMessages(read, filter, sealCursor, log);
      advance();
    }, fail);
  }

  async function sendSnapshot(): Promise<void> {
    for await (const message of snapshotMessages(parts.reader, organizationId, filter)) {
      while (outlet.isFull && !isClosed) await new Promise<void>((resolve) => (whenReady = resolve));
      whenReady = null;
      if (isClosed) return;
      outlet.write(message);
    }
    isBusy = false;
    isInSnapshot = false;
    if (isClosed) return;
    outlet.write(snapshotMessage([], sealCursor(position)));
    advance();
  }

  function beat(): void {
    // To a client that is not reading, it would only be one more thing that waits; and its cursor says that all
    // before it has been sent, which is not so while a snapshot is going out.
    if (!outlet.isFull && !isInSnapshot) outlet.write(heartbeatMessage(sealCursor(position), clock.nowMs()));
  }

  return {
    get resumePosition() {
      return isInSnapshot ? null : position;
    },
    start() {
      if (parts.greeting !== null) outlet.write(parts.greeting);
      undo.push(tail.listen(advance), repeat(clock, limits.heartbeatMs, beat));
      if (!parts.snapshot) return advance();
      isBusy = true;
      sendSnapshot().catch(fail);
    },
    close() {
      isClosed = true;
      for (const step of undo.splice(0)) step();
      outlet.close();
      whenReady?.();
      page = null;
    },
  };
}

function unreadable(cause: unknown): Fault {
  const detail = 'The feed cannot be read at the moment. Subscribe again with the cursor.';
  return new Fault('temporarily-unavailable', detail, { cause });
}

function readingTooSlowly(stallTtlMs: number): Fault {
  return new Fault(
    'reading-too-slowly',
    `The client has read nothing for ${stallTtlMs / 1000} s. Subscribe again with the cursor: nothing is lost.`,
  );
}
