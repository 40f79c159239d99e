import { afterAll, onTestFinished } from 'vitest';

/** Runs `close` when the test ends that opened something, or with the file where `beforeAll` or the file itself did. */
export function whenDone(close: () => Promise<void>): void {
  try {
    onTestFinished(close);
  } catch {
    afterAll(close);
  }
}
