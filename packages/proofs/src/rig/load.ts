import { join } from 'node:path';
import { openChild } from './child.ts';
import type { Scratch } from './scratch.ts';

/** Load from a process of its own. `closed`: every connection sends its next request when it has its answer. `open`: requests are due at a constant rate whatever the server does, and wait from then on. */
export interface LoadOrder {
  readonly port: number;
  readonly token: string;
  readonly vins: readonly string[];
  readonly connections: number;
  readonly pace: { readonly kind: 'closed' } | { readonly kind: 'open'; readonly perSecond: number };
  readonly seconds: number;
  /** Makes this run's observation times later than those of runs before it on the same server. */
  readonly firstSequence: number;
}

export interface BatchOrder extends Pick<LoadOrder, 'port' | 'token' | 'vins' | 'connections'> {
  readonly batches: number;
  readonly recordsPerBatch: number;
}

export interface LoadResult {
  readonly answered: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 202, and connections that broke, by what they were. */
  readonly errors: Readonly<Record<string, number>>;
  /** Where a next run on this server starts. */
  readonly nextSequence: number;
  readonly bodyBytes: number;
  /** Share of one core the load itself took. */
  readonly ownCpu: number;
}

export interface Load {
  run(order: LoadOrder): Promise<LoadResult>;
  /** Makes the bodies of `order` (gzip) and keeps them; `sendBatches` sends them all. */
  prepareBatches(order: BatchOrder): Promise<{ bytesPerBatch: number }>;
  sendBatches(): Promise<LoadResult>;
  close(): void;
}

export type LoadQuestion =
  | { readonly kind: 'run'; readonly order: LoadOrder }
  | { readonly kind: 'prepare'; readonly order: BatchOrder }
  | { readonly kind: 'send' };

export function openLoad(scratch: Scratch): Load {
  const child = openChild(scratch, join(import.meta.dirname, 'load-process.ts'));
  const ask = <Answer>(question: LoadQuestion) => child.ask<Answer>(question);
  return {
    run: (order) => ask({ kind: 'run', order }),
    prepareBatches: (order) => ask({ kind: 'prepare', order }),
    sendBatches: () => ask({ kind: 'send' }),
    close: child.close,
  };
}

export function countErrors(results: readonly LoadResult[]): number {
  return results.flatMap(({ errors }) => Object.values(errors)).reduce((sum, count) => sum + count, 0);
}
