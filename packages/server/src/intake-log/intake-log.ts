import type { AssetRef } from '@gladhand/contract/asset-ref.ts';

/**
 * The intake log port: the durable, ordered mailbox between intake and mapping. Promise: when `append` resolves, the
 * envelope is on disk and will be taken at least once; envelopes of one asset are taken in the order in which their
 * appends were acknowledged; a batch that is not acknowledged is taken again, so whoever takes works in a way that may be
 * repeated and acknowledges afterwards. Assumes one taker at a time. Fails with `temporarily-unavailable`,
 * which means "unknown": the envelope may be there, so a sender repeats the same bytes and nothing doubles.
 */
export interface Envelope {
  /** UUIDv7; also the receipt's id. */
  readonly id: string;
  /** Equals the time in the id. */
  readonly receivedAtMs: number;
  /** Of the key that sent it. */
  readonly organizationId: string;
  readonly keyId: string;
  readonly partnerId: string;
  readonly product: string;
  readonly asset: AssetRef;
  /** The bytes as they arrived, after content decoding. */
  readonly body: Buffer;
}

export interface Idempotency {
  readonly key: string;
  /** SHA-256 over what must be the same when the key is used again. */
  readonly fingerprint: Buffer;
}

export type AppendOutcome =
  | { readonly kind: 'appended'; readonly envelopeId: string; readonly receivedAtMs: number }
  /** The key was used before with the same fingerprint: the envelope of that time. */
  | { readonly kind: 'repeated'; readonly envelopeId: string; readonly receivedAtMs: number }
  | { readonly kind: 'conflict' };

export interface IntakeBatch {
  readonly envelopes: readonly Envelope[];
  /** How many entries were ended without an envelope: it was past its retention and is gone. */
  readonly expired: number;
  /** Ends these envelopes of the batch. Repeating it changes nothing. */
  acknowledge(envelopes: readonly Envelope[]): Promise<void>;
  /** Sets these envelopes of the batch aside, in their order, until `resume` is called for their product. */
  defer(envelopes: readonly Envelope[]): Promise<void>;
  /** The ids of those that were sent with an Idempotency-Key, as long as it is remembered. */
  findKeyed(envelopes: readonly { id: string; receivedAtMs: number }[]): Promise<ReadonlySet<string>>;
}

export interface IntakeLog {
  append(envelope: Envelope, idempotency?: Idempotency): Promise<AppendOutcome>;
  /** The next envelopes in order; an empty batch when there are none. */
  take(limits: { envelopesMax: number; bytesMax: number }): Promise<IntakeBatch>;
  /** What was handed to `append` here and has not settled; `groupsWritten` rises while the log gets on with it. */
  pending(): { readonly envelopes: number; readonly bytes: number; readonly groupsWritten: number };
  /** How many envelopes wait to be taken; counted up to `most`, because counting takes as long as there are many. */
  backlog(most?: number): Promise<number>;
  /** Puts envelopes that were appended before back into the log: they are taken again, after what is there. */
  requeue(envelopes: readonly Envelope[]): Promise<void>;
  /**
   * Puts what was deferred back into its place: of these products, and what is older than `olderThanMs`. To be called
   * by a taker when it begins: another one may have been here since it took last.
   */
  resume(products: readonly string[], olderThanMs: number): Promise<void>;
  /** How many envelopes are deferred, by product. */
  deferred(): Promise<ReadonlyMap<string, number>>;
  /** When the oldest envelope arrived that the log still refers to, deferred ones included; undefined when it is empty. */
  oldestReceivedAtMs(): Promise<number | undefined>;
  /** Drops Idempotency-Keys past their time to live. */
  forgetIdempotency(nowMs: number): Promise<void>;
  close(): Promise<void>;
}

/** How long an Idempotency-Key is remembered. */
export const IDEMPOTENCY_TTL_MS = 24 * 60 * 60 * 1000;
