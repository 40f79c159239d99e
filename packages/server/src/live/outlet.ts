import type { Clock } from '@gladhand/base/clock.ts';

/**
 * The bounded end of a pipe to one client. Promise: no more than `bytesMax` plus one message waits here for a client
 * that does not read; `onReady` is called when a full outlet has room again; `onStalled` when nothing at all has gone
 * out for `stallTtlMs` although something waits. Assumes the writer asks `isFull` before it writes.
 */
export interface Outlet {
  readonly isFull: boolean;
  write(message: Buffer): void;
  close(): void;
}

/** What grpc-js gives for a stream: `written` is called once the message has left for the socket. */
export interface Sink {
  write(message: Buffer, written: () => void): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface OutletParts {
  readonly sink: Sink;
  readonly clock: Clock;
  readonly bytesMax: number;
  readonly stallTtlMs: number;
  readonly onReady: () => void;
  readonly onStalled: () => void;
}

export function createOutlet(parts: OutletParts): Outlet {
  const { sink, clock, bytesMax, stallTtlMs } = parts;
  let bytesWaiting = 0;
  let isBlocked = false;
  let isClosed = false;
  let progressAtMs = 0;
  let cancelWatch: (() => void) | null = null;

  const isFull = () => isBlocked || bytesWaiting >= bytesMax;
  const readyIfRoom = (wasFull: boolean) => {
    if (wasFull && !isFull() && !isClosed) parts.onReady();
  };
  // One timer is set for a whole busy period and looks at the last progress when it fires: setting one for each
  // message would cost more than the message.
  const watch = (delayMs: number) => {
    cancelWatch = clock.after(delayMs, () => {
      cancelWatch = null;
      if (bytesWaiting === 0 || isClosed) return;
      const idleMs = clock.monotonicMs() - progressAtMs;
      if (idleMs >= stallTtlMs) parts.onStalled();
      else watch(stallTtlMs - idleMs);
    });
  };

  return {
    get isFull() {
      return isFull();
    },
    write(message) {
      if (isClosed) return;
      if (bytesWaiting === 0) progressAtMs = clock.monotonicMs();
      bytesWaiting += message.length;
      const hasRoom = sink.write(message, () => {
        const wasFull = isFull();
        bytesWaiting -= message.length;
        progressAtMs = clock.monotonicMs();
        readyIfRoom(wasFull);
      });
      if (!hasRoom && !isBlocked) {
        isBlocked = true;
        sink.once('drain', () => {
          isBlocked = false;
          readyIfRoom(true);
        });
      }
      if (cancelWatch === null) watch(stallTtlMs);
    },
    close() {
      isClosed = true;
      cancelWatch?.();
      cancelWatch = null;
    },
  };
}
