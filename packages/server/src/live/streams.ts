import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { LiveLimits } from './limits.ts';
import { resetStream } from './reset-stream.ts';
import type { Subscriber } from './subscriber.ts';

/**
 * The streams of this node. Promise: what is held for a stream is given back when it is over, whoever ended it; a stream
 * that is ended from here says why and where to resume, and is cut when its client does not read that either.
 */
export interface Streams<Call extends StreamCall> {
  readonly size: number;
  open(call: Call): Stream;
  /** Counts one more stream of a key until it is over. Throws `too-many-streams`. */
  claimOfKey(keyId: string, stream: Stream): void;
  /** Ends every stream, and resolves when all of them have said so, or after `drainMs`. */
  endAll(): Promise<void>;
}

/** What is held for one call, and the one way to end it. */
export interface Stream {
  readonly isOver: boolean;
  /** Runs `step` when the stream is over; at once if it is. */
  atEnd(step: () => void): void;
  end(fault: Fault): void;
  /** From here on the stream carries what the subscriber sends. */
  carry(subscriber: Subscriber, organizationId: string): void;
}

/** What gRPC gives for a stream. */
export interface StreamCall {
  /** `cancelled` comes for every ending: its trailers are on their way, or the stream is gone. */
  once(event: 'close' | 'cancelled', listener: () => void): unknown;
}

export interface StreamsParts<Call extends StreamCall> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: LiveLimits;
  readonly sealCursor: (organizationId: string, position: number) => string;
  /** Sends the last status of a call; `cursor`: where to resume. */
  readonly sendStatus: (call: Call, fault: Fault, cursor: string | undefined) => void;
}

export function createStreams<Call extends StreamCall>(parts: StreamsParts<Call>): Streams<Call> {
  const { limits } = parts;
  const open = new Set<Stream>();
  const ofKeys = new Map<string, number>();
  const leaving = createLeaving(parts);
  return {
    get size() {
      return open.size;
    },
    open(call) {
      const stream = createStream(parts, call, () => leaving.add(call));
      open.add(stream);
      stream.atEnd(() => open.delete(stream));
      return stream;
    },
    claimOfKey(keyId, stream) {
      const held = ofKeys.get(keyId) ?? 0;
      if (held >= limits.subscribersPerKeyMax)
        throw tooManyStreams(`This key has ${limits.subscribersPerKeyMax} streams open already.`);
      ofKeys.set(keyId, held + 1);
      stream.atEnd(() => {
        const left = ofKeys.get(keyId)! - 1;
        if (left === 0) ofKeys.delete(keyId);
        else ofKeys.set(keyId, left);
      });
    },
    async endAll() {
      for (const stream of open) stream.end(shuttingDown());
      await leaving.allGone();
    },
  };
}

function createStream<Call extends StreamCall>(parts: StreamsParts<Call>, call: Call, onEnded: () => void): Stream {
  const { log } = parts;
  const undo: (() => void)[] = [];
  let subscriber: Subscriber | null = null;
  let organizationId = '';
  let isOver = false;
  const giveBack = () => {
    isOver = true;
    subscriber?.close();
    for (const step of undo.splice(0)) step();
  };
  call.once('close', () => {
    if (!isOver) giveBack();
  });
  return {
    get isOver() {
      return isOver;
    },
    atEnd(step) {
      if (isOver) step();
      else undo.push(step);
    },
    end(fault) {
      if (isOver) return;
      const resume = subscriber?.resumePosition ?? null;
      const cursor = resume === null ? undefined : parts.sealCursor(organizationId, resume);
      giveBack();
      if (fault.cause !== undefined)
        log.warn({ err: fault.cause, code: fault.code, organizationId }, 'a LiveFeed stream failed');
      else log.info({ code: fault.code, organizationId }, 'a LiveFeed stream ended');
      onEnded();
      parts.sendStatus(call, fault, cursor);
    },
    carry(made, owner) {
      subscriber = made;
      organizationId = owner;
      made.start();
    },
  };
}

/** Calls that have been ended and whose clients may not know yet. */
function createLeaving<Call extends StreamCall>({ clock, log, limits }: StreamsParts<Call>) {
  const calls = new Set<Call>();
  let onAllLeft = () => {};
  return {
    add(call: Call): void {
      calls.add(call);
      const cancel = clock.after(limits.graceMs, () => {
        if (!resetStream(call)) log.error('a stream that is not read could not be cut: grpc-js has changed inside');
      });
      call.once('cancelled', () => {
        cancel();
        calls.delete(call);
        if (calls.size === 0) onAllLeft();
      });
    },
    async allGone(): Promise<void> {
      if (calls.size === 0) return;
      await new Promise<void>((resolve) => {
        const cancel = clock.after(limits.drainMs, resolve);
        onAllLeft = () => {
          cancel();
          resolve();
        };
      });
    },
  };
}

export function shuttingDown(): Fault {
  return new Fault('shutting-down', 'This server is shutting down. Subscribe again with the cursor.');
}

export function tooManyStreams(detail: string): Fault {
  return new Fault('too-many-streams', `${detail} Close one, or ask for a higher limit.`);
}
