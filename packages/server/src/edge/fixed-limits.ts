import type { FixedWindow, LimitMode } from '../limits/limits.ts';

/** The limits that are the same for everybody, so that a key cannot be guessed and the database not be worn out by it. */
export interface FixedLimits {
  /** Tries to trade a key for a token, for each key: one in the life of a token is plenty. */
  readonly authenticate: FixedWindow;
  /** Of these, the ones that failed, for each client address: mistyped or revoked keys, and guesses. */
  readonly authenticateFailures: FixedWindow;
  readonly rotate: FixedWindow;
}

/** `report`: they are only reported. */
export function createFixedLimits(mode: LimitMode): FixedLimits {
  const window = (name: string, limit: number, windowSeconds: number): FixedWindow => ({
    algorithm: 'fixed-window',
    name,
    limit,
    windowSeconds,
    mode,
  });
  return {
    authenticate: window('authenticate', 10, 300),
    // A fleet of servers behind one address, each with a key that was revoked, is still let in with a new one.
    authenticateFailures: window('authenticate-failures', 30, 300),
    rotate: window('rotate', 3, 3_600),
  };
}
