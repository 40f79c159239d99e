import type { FixedWindow, SlotPolicy, TokenBucket } from '../limits/limits.ts';

/** What everybody may use, from memory. */
export interface LimitRules {
  of(organizationId: string): OrganizationAllowance;
  /** Undefined when there is no such product. */
  intake(product: string): IntakeAllowance | undefined;
}

export interface OrganizationAllowance {
  /** The bucket that holds first. */
  readonly reads: readonly TokenBucket[];
  readonly concurrency: SlotPolicy;
  readonly proposedConcurrency: number | undefined;
  readonly waitMsMax: number;
  readonly waitingRequestsMax: number;
  readonly streams: SlotPolicy;
  readonly proposedStreams: number | undefined;
}

export interface IntakeAllowance {
  readonly perAsset: readonly FixedWindow[];
  readonly total: readonly FixedWindow[];
}
