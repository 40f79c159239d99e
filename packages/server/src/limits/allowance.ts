import type { FixedWindow, SlotPolicy, TokenBucket } from './limits.ts';

/** What an organization may use, as policies of this port. */
export interface Allowance {
  /** The bucket that holds and, after it, one that is announced. */
  readonly reads: readonly TokenBucket[];
  readonly concurrency: SlotPolicy;
  readonly waitMsMax: number;
  readonly waitingRequestsMax: number;
  readonly streams: SlotPolicy;
  /** Announced; undefined: nothing is. */
  readonly proposedConcurrency: number | undefined;
  readonly proposedStreams: number | undefined;
}

/** What a product takes in. */
export interface IntakeAllowance {
  /** For each VIN or plant: the window that holds and, after it, one that is announced. */
  readonly perAsset: readonly FixedWindow[];
  /** For all of them together; empty: no such limit. */
  readonly total: readonly FixedWindow[];
}
