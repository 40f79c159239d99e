import { join } from 'node:path';
import { openChild } from './child.ts';
import type { Scratch } from './scratch.ts';

/**
 * A load generator in its own process. `closed`: each connection sends its next request after the answer to the last one.
 * `open`: requests are due at a constant rate, however slow the server is, and latency is measured from then.
 */
export interface LoadOrder {
  readonly port: number;
  readonly token: string;
  readonly vins: readonly string[];
  readonly connections: number;
  readonly pace: { readonly kind: 'closed' } | { readonly kind: 'open'; readonly perSecond: number };
  readonly seconds: number;
  /** The first sequence number. It must follow the last run on this server, so that observation times increase. */
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
  /** How often each answer other than 202 came, and how often a connection broke. */
  readonly errors: Readonly<Record<string, number>>;
  /** `firstSequence` for the next run on this server. */
  readonly nextSequence: number;
  readonly bodyBytes: number;
  /** CPU use of the load generator: 1 is one full core. */
  readonly ownCpu: number;
}

export interface Load {
  run(order: LoadOrder): Promise<LoadResult>;
  /** Makes and compresses the bodies of `order`. `sendBatches` sends them all. */
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
