/** What a lane (the requests of one VIN) does if it does not know whether a request was accepted. */
export type Habit =
  /** Sends the same bytes with the same Idempotency-Key until the answer is 202. */
  | 'retries-with-key'
  /** Sends the same bytes again without an Idempotency-Key. This makes more envelopes, but still one record. */
  | 'retries-bare'
  /** Sends the next payload. */
  | 'gives-up';

const HABITS: readonly Habit[] = ['retries-with-key', 'retries-with-key', 'retries-bare', 'gives-up'];

export function habitOf(lane: number): Habit {
  return HABITS[lane % HABITS.length]!;
}

/** The observation time of a payload, in ms. It rises with the sequence number and is always in the past. */
export function observedAtMs(startedAtMs: number, sequence: number): number {
  return startedAtMs - 24 * 60 * 60 * 1000 + sequence * 100;
}
