import { join } from 'node:path';
import { openChild } from '../../rig/child.ts';
import type { Scratch } from '../../rig/scratch.ts';

/** A load generator in its own process: many connections send prepared requests to several servers. */
export interface HammerOrder {
  /** The servers' ports. The connections are distributed over them in turn. */
  readonly ports: readonly number[];
  readonly connections: number;
  /** Complete HTTP requests. All connections together send them in turn, then start again with the first. */
  readonly requests: readonly Uint8Array[];
  /** True: refused and unanswered requests are sent again before new ones, so that few accepted requests are sent twice. */
  readonly isRetrying?: boolean;
  /**
   * `closed`: each connection sends its next request `pauseMs` after the last answer. `open`: requests are due at a constant
   * rate, however slow the servers are. A request without a free connection waits, and is given up after `patienceMs`.
   */
  readonly pace:
    | { readonly kind: 'closed'; readonly pauseMs: number }
    | { readonly kind: 'open'; readonly perSecond: number; readonly patienceMs: number };
  /** Unix ms. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** One entry per sent request in each array, in the order of the answers. */
export interface Hammered {
  /** Unix ms: when the request was written, and when the answer was complete. */
  readonly sentMs: Float64Array;
  readonly answeredMs: Float64Array;
  /** When the request was due. The same as `sentMs` with a closed pace. */
  readonly dueMs: Float64Array;
  /** HTTP status. 0 if the connection ended without an answer. */
  readonly status: Uint16Array;
  /** Index into `ports`, and into `requests`. */
  readonly port: Uint8Array;
  readonly request: Uint32Array;
  /** Retry-After in seconds. -1 if there was none. */
  readonly retryAfter: Int32Array;
  /** Requests that were given up because no connection became free in time. */
  readonly givenUp: number;
  /** CPU use of sending and reading: 1 is one full core. */
  readonly ownCpu: number;
}

export interface Hammer {
  run(order: HammerOrder): Promise<Hammered>;
  close(): void;
}

export function openHammer(scratch: Scratch): Hammer {
  const child = openChild(scratch, join(import.meta.dirname, 'hammer-process.ts'));
  return { run: (order) => child.ask<Hammered>(order), close: child.close };
}

/** The indexes of the entries whose status is one of `wanted`. */
export function placesWith(hammered: Hammered, ...wanted: number[]): number[] {
  const places: number[] = [];
  for (let place = 0; place < hammered.status.length; place += 1) {
    if (wanted.includes(hammered.status[place]!)) places.push(place);
  }
  return places;
}

/** The number of answers by status. A cut connection counts as `cut`. */
export function countStatuses(all: readonly Hammered[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of all) {
    for (const code of status) {
      const name = code === 0 ? 'cut' : String(code);
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return counts;
}

/** A GET request without a body, as bytes. */
export function getRequest(path: string, token: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`);
}
