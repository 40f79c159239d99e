/** How LiveFeed is bounded, each with the reason for its number. */
export interface LiveLimits {
  /** Between heartbeats. */
  readonly heartbeatMs: number;
  /** The slow poll: how long a lost ring goes unnoticed at most. */
  readonly pollMs: number;
  /** A client that reads nothing for so long is ended. */
  readonly stallTtlMs: number;
  /** How long an ended stream may take to say so, before it is cut. */
  readonly graceMs: number;
  /** How long closing waits for clients to go by themselves. */
  readonly drainMs: number;
  /** What may wait for one client; two messages, so that one is written while the other travels. */
  readonly waitingBytesMax: number;
  /** Records kept for one organization's subscribers: some 4 s at 2,000 records/s. */
  readonly windowRecordsMax: number;
  /** The same in memory, for one organization and for all of them together. */
  readonly windowBytesMax: number;
  readonly windowsBytesMax: number;
  /** Pages of the past read at once for subscribers that are behind; leaves most of the pool to others. */
  readonly historyReadsMax: number;
  /** Streams at once: of this node, and of one key. At 64 KiB each, the first is 320 MiB if every client stalls. */
  readonly subscribersMax: number;
  readonly subscribersPerKeyMax: number;
}

export const LIVE_LIMITS: LiveLimits = {
  heartbeatMs: 10_000,
  pollMs: 1_000,
  // With the grace, a client that opens no window is gone within 25 s.
  stallTtlMs: 20_000,
  graceMs: 5_000,
  drainMs: 1_500,
  waitingBytesMax: 64 * 1024,
  windowRecordsMax: 8_192,
  windowBytesMax: 8 * 1024 * 1024,
  windowsBytesMax: 64 * 1024 * 1024,
  historyReadsMax: 4,
  subscribersMax: 5_000,
  subscribersPerKeyMax: 1_000,
};
