import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { createFeedWalk, type FeedWalk, type FeedWalkParts } from './feed-walk.ts';
import type { LiveLimits } from './limits.ts';
import { createOutlet, type Outlet, type Sink } from './outlet.ts';
import { repeat } from './repeat.ts';
import { createSnapshotWriter, snapshotMessages } from './snapshot.ts';
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

export interface SubscriberParts extends FeedWalkParts {
  /** Send the latest values first. */
  readonly snapshot: boolean;
  /** Said before anything else. */
  readonly greeting: Buffer | null;
  readonly sink: Sink;
  readonly reader: TelemetryReader;
  readonly clock: Clock;
  readonly limits: LiveLimits;
  readonly onSent: (records: number) => void;
  /** Called at most once, when the stream cannot go on. */
  readonly onFailed: (fault: Fault) => void;
}

export function createSubscriber(parts: SubscriberParts): Subscriber {
  const { organizationId, filter, clock, limits, sealCursor } = parts;
  const walk = createFeedWalk(parts);
  let isClosed = false;
  /** Waiting for the store: a page, or the snapshot. */
  let isBusy = false;
  let isInSnapshot = parts.snapshot;
  const undo: (() => void)[] = [];

  const fail = (error: unknown) => {
    if (!isClosed) parts.onFailed(error instanceof Fault ? error : unreadable(error));
  };
  const outlet = createOutlet({
    sink: parts.sink,
    clock,
    bytesMax: limits.waitingBytesMax,
    stallTtlMs: limits.stallTtlMs,
    onReady() {
      snapshot.resume();
      advance();
    },
    onStalled: () => fail(readingTooSlowly(limits.stallTtlMs)),
  });
  const snapshot = createSnapshotWriter(snapshotMessages(parts.reader, organizationId, filter), outlet);

  function advance(): void {
    if (isBusy) return;
    try {
      if (writeNext(walk, outlet, parts.onSent, () => isClosed)) return readPast();
      // What a subscriber that has stopped reading holds on to stays small.
      walk.shrink(limits.waitingBytesMax * 4);
    } catch (error) {
      fail(error);
    }
  }

  function readPast(): void {
    isBusy = true;
    walk.readPast().then(() => {
      isBusy = false;
      advance();
    }, fail);
  }

  async function sendSnapshot(): Promise<void> {
    isBusy = true;
    await snapshot.write();
    isBusy = false;
    isInSnapshot = false;
    if (isClosed) return;
    outlet.write(snapshotMessage([], sealCursor(walk.position)));
    advance();
  }

  function beat(): void {
    // To a client that is not reading, it would only be one more thing that waits; and its cursor says that all
    // before it has been sent, which is not so while a snapshot is going out.
    if (!outlet.isFull && !isInSnapshot) outlet.write(heartbeatMessage(sealCursor(walk.position), clock.nowMs()));
  }

  return {
    get resumePosition() {
      return isInSnapshot ? null : walk.position;
    },
    start() {
      if (parts.greeting !== null) outlet.write(parts.greeting);
      undo.push(parts.tail.listen(advance), repeat(clock, limits.heartbeatMs, beat));
      if (parts.snapshot) sendSnapshot().catch(fail);
      else advance();
    },
    close() {
      isClosed = true;
      for (const step of undo.splice(0)) step();
      outlet.close();
      snapshot.close();
      walk.shrink(0);
    },
  };
}

/** Writes what there is while there is room. Tells whether the store has to be read for more. */
function writeNext(
  walk: FeedWalk,
  outlet: Outlet,
  onSent: (records: number) => void,
  isClosed: () => boolean,
): boolean {
  while (!isClosed() && !outlet.isFull) {
    if (walk.isBehind) return true;
    const batch = walk.next();
    if (batch === undefined) return false;
    if (batch.message === null) continue;
    onSent(batch.records);
    outlet.write(batch.message);
  }
  return false;
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
