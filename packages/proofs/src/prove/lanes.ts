/** What a lane (one VIN) does when it cannot know whether a request was accepted. */
export type Habit =
  /** Sends the same bytes with the same Idempotency-Key until it gets a 202. */
  | 'retries-with-key'
  /** Sends the same bytes again without a key: more envelopes, but the record collapses by content. */
  | 'retries-bare'
  /** Goes on to the next payload. */
  | 'gives-up';

const HABITS: readonly Habit[] = ['retries-with-key', 'retries-with-key', 'retries-bare', 'gives-up'];

export function habitOf(lane: number): Habit {
  return HABITS[lane % HABITS.length]!;
}

/** Later for each payload of a lane, and always in the past. */
export function observedAtMs(startedAtMs: number, sequence: number): number {
  return startedAtMs - 24 * 60 * 60 * 1000 + sequence * 100;
}
