import { join } from 'node:path';
import { openChild } from '../../rig/child.ts';
import type { Scratch } from '../../rig/scratch.ts';

/** Many connections that send ready requests to several servers, from a process of their own. */
export interface HammerOrder {
  /** Connections are dealt out to them in turn. */
  readonly ports: readonly number[];
  readonly connections: number;
  /** Whole HTTP requests; all connections together send them in turn, and then again from the first. */
  readonly requests: readonly Uint8Array[];
  /** What was refused or not answered is sent again before what was never sent, so that as few as possible come twice. */
  readonly isRetrying?: boolean;
  /**
   * `closed`: each connection sends its next request `pauseMs` after its answer. `open`: requests are due at a constant
   * rate whatever the servers do; one that finds no free connection waits, at most `patienceMs`, then it is given up.
   */
  readonly pace:
    | { readonly kind: 'closed'; readonly pauseMs: number }
    | { readonly kind: 'open'; readonly perSecond: number; readonly patienceMs: number };
  /** Unix ms. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** One line per request that was sent, in the order of the answers. */
export interface Hammered {
  /** Unix ms: when it was written, and when the whole answer was there. */
  readonly sentMs: Float64Array;
  readonly answeredMs: Float64Array;
  /** When it was to be sent; `sentMs` unless the pace is open. */
  readonly dueMs: Float64Array;
  /** 0: the connection ended without an answer. */
  readonly status: Uint16Array;
  /** Its place in `ports`, and in `requests`. */
  readonly port: Uint8Array;
  readonly request: Uint32Array;
  /** Seconds; -1: there was no Retry-After. */
  readonly retryAfter: Int32Array;
  /** Due and given up, because no connection came free in time. */
  readonly givenUp: number;
  /** Share of one core that sending and reading took. */
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

/** The places of the lines whose status is one of `wanted`. */
export function placesWith(hammered: Hammered, ...wanted: number[]): number[] {
  const places: number[] = [];
  for (let place = 0; place < hammered.status.length; place += 1) {
    if (wanted.includes(hammered.status[place]!)) places.push(place);
  }
  return places;
}

/** How often each status came; a cut connection is `cut`. */
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

/** A request without a body. */
export function getRequest(path: string, token: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`);
}
