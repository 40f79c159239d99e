import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import type { LiveLimits } from './limits.ts';
import { openTail, type Tail } from './tail.ts';

/**
 * The tails of this node: one for each organization that has subscribers here, and none for any other. Promise: all
 * of them are woken by every ring and at least every `pollMs`, and together they keep `windowsBytesMax` at most.
 */
export interface Tails {
  /** The organization's tail, opened if this is its first user. Call `release` once when done. */
  acquire(organizationId: string): Promise<{ readonly tail: Tail; release(): void }>;
  readonly size: number;
  close(): void;
}

export interface TailsParts {
  readonly reader: TelemetryReader;
  readonly doorbell: Doorbell;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: LiveLimits;
  readonly sealCursor: (organizationId: string, position: number) => string;
}

interface Held {
  readonly opening: Promise<Tail>;
  open: Tail | null;
  users: number;
}

export function openTails(parts: TailsParts): Tails {
  const { clock, limits } = parts;
  const tails = new Map<string, Held>();
  const window = {
    recordsMax: limits.windowRecordsMax,
    bytesMax: () => Math.min(limits.windowBytesMax, limits.windowsBytesMax / Math.max(1, tails.size)),
  };

  const wakeAll = () => {
    for (const { open } of tails.values()) open?.wake();
  };
  const silence = parts.doorbell.on('telemetry', wakeAll);
  let cancelPoll = () => {};
  const poll = () => {
    cancelPoll = clock.after(limits.pollMs, () => {
      wakeAll();
      poll();
    });
  };
  poll();

  function hold(organizationId: string): Held {
    const sealCursor = (position: number) => parts.sealCursor(organizationId, position);
    const opening = openTail({ organizationId, reader: parts.reader, window, sealCursor, log: parts.log });
    const held: Held = { opening, open: null, users: 0 };
    tails.set(organizationId, held);
    opening.then(
      (tail) => {
        held.open = tail;
        // Whatever came while it was being opened has already rung.
        tail.wake();
      },
      () => {},
    );
    return held;
  }

  return {
    async acquire(organizationId) {
      const held = tails.get(organizationId) ?? hold(organizationId);
      held.users += 1;
      let isReleased = false;
      const release = () => {
        if (isReleased) return;
        isReleased = true;
        held.users -= 1;
        if (held.users > 0) return;
        if (tails.get(organizationId) === held) tails.delete(organizationId);
        held.open?.close();
      };
      try {
        return { tail: await held.opening, release };
      } catch (error) {
        release();
        throw error;
      }
    },
    get size() {
      return tails.size;
    },
    close() {
      silence();
      cancelPoll();
      for (const { open } of tails.values()) open?.close();
      tails.clear();
    },
  };
}
