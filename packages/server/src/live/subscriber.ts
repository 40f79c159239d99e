import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { assembleBatch } from './batch.ts';
import type { RecordFilter } from './filter.ts';
import type { History, HistoryPage } from './history.ts';
import type { LiveLimits } from './limits.ts';
import { createOutlet, type Sink } from './outlet.ts';
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
  let page: { readonly of: HistoryPage; next: number } | null = null;
  let cancelHeartbeat = () => {};
  let stopListening = () => {};
  let whenReady: (() => void) | null = null;

  const fail = (error: unknown) => {
    if (isClosed) return;
    const unreadable = () =>
      new Fault('temporarily-unavailable', 'The feed cannot be read at the moment. Subscribe again with the cursor.', {
        cause: error,
      });
    parts.onFailed(error instanceof Fault ? error : unreadable());
  };
  const outlet = createOutlet({
    sink: parts.sink,
    clock,
    bytesMax: limits.waitingBytesMax,
    stallTtlMs: limits.stallTtlMs,
    onReady: () => (whenReady === null ? advance() : whenReady()),
    onStalled: () =>
      fail(
        new Fault(
          'reading-too-slowly',
          `The client has read nothing for ${limits.stallTtlMs / 1000} s. Subscribe again with the cursor: nothing is lost.`,
        ),
      ),
  });

  function advance(): void {
    if (isBusy) return;
    try {
      while (!isClosed && !outlet.isFull) {
        if (page === null && position < tail.floor) return readHistory();
        if (page === null ? !takeFromTail() : !takeFromPage(page)) return;
      }
      // What a subscriber that has stopped reading holds on to stays small: it can read the page again.
      if (page !== null && page.of.bytes > limits.waitingBytesMax * 4) page = null;
    } catch (error) {
      fail(error);
    }
  }

  function takeFromTail(): boolean {
    const batch = tail.next(filter, position);
    if (batch === undefined) return false;
    position = batch.through;
    send(batch.message, batch.records);
    return true;
  }

  function takeFromPage(current: { readonly of: HistoryPage; next: number }): boolean {
    const { entries, through } = current.of;
    if (current.next < entries.length) {
      const batch = assembleBatch(entries, current.next, filter, sealCursor, log);
      position = batch.through;
      while (current.next < entries.length && entries[current.next]!.position <= position) current.next += 1;
      send(batch.message, batch.records);
    }
    if (current.next >= entries.length) {
      position = through;
      page = null;
    }
    return true;
  }

  function send(message: Buffer | null, records: number): void {
    if (message === null) return;
    parts.onSent(records);
    outlet.write(message);
  }

  function readHistory(): void {
    isBusy = true;
    history.read(organizationId, filter, position).then(
      (read) => {
        isBusy = false;
        page = { of: read, next: 0 };
        advance();
      },
      (error: unknown) => fail(error),
    );
  }

  async function sendSnapshot(): Promise<void> {
    for await (const message of snapshotMessages(parts.reader, organizationId, filter)) {
      while (outlet.isFull && !isClosed) await new Promise<void>((resolve) => (whenReady = resolve));
      whenReady = null;
      if (isClosed) return;
      outlet.write(message);
    }
  }

  function beat(): void {
    cancelHeartbeat = clock.after(limits.heartbeatMs, () => {
      // To a client that is not reading, it would only be one more thing that waits; and its cursor says that all
      // before it has been sent, which is not so while a snapshot is going out.
      if (!outlet.isFull && !isInSnapshot) outlet.write(heartbeatMessage(sealCursor(position), clock.nowMs()));
      beat();
    });
  }

  return {
    get resumePosition() {
      return isInSnapshot ? null : position;
    },
    start() {
      if (parts.greeting !== null) outlet.write(parts.greeting);
      stopListening = tail.listen(advance);
      beat();
      if (!parts.snapshot) return advance();
      isBusy = true;
      sendSnapshot().then(
        () => {
          isBusy = false;
          isInSnapshot = false;
          if (isClosed) return;
          outlet.write(snapshotMessage([], sealCursor(position)));
          advance();
        },
        (error: unknown) => fail(error),
      );
    },
    close() {
      isClosed = true;
      cancelHeartbeat();
      stopListening();
      outlet.close();
      whenReady?.();
      page = null;
    },
  };
}
