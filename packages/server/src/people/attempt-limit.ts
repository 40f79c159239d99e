import { createHash } from 'node:crypto';
import { Fault } from '@gladhand/base/fault.ts';
import { networkOf } from '@gladhand/base/network.ts';
import type { ChargeState, FixedWindow, Limits } from '../limits/limits.ts';

/**
 * Limits on guessing passwords, counted where all limits are. Promise: however many tries come at once, on however many
 * nodes, no more than these are verified in a window, because a try counts before it is verified and is given back when
 * it succeeds. Windows are the quarters of an hour. Accounts are counted by a digest, so that no email address lies
 * where limits are kept.
 */
export interface Attempts {
  /** Counts a try; throws `too-many-attempts`. */
  begin(account: string, address: string): Promise<Attempt>;
}

/** A try that has been counted. A wrong password leaves it counted. */
export interface Attempt {
  /** The password was right: gives back this try, and the failures of the account from this address before it. */
  succeed(): Promise<void>;
  /** The password could not be looked at: gives back this try. */
  giveBack(): Promise<void>;
}

const ATTEMPTS_WINDOW_MS = 15 * 60 * 1000;
/** Somebody who mistypes; at 5 in 15 minutes a guesser gets 480 a day. */
const FAILURES_PER_ACCOUNT_AND_ADDRESS_MAX = 5;
/** Many accounts from one place: password spraying. An office behind one address has to fit. */
const FAILURES_PER_ADDRESS_MAX = 20;
/** One account from many places; high, because reaching it keeps the owner out too (NIST SP 800-63B 5.2.2 allows 100). */
const FAILURES_PER_ACCOUNT_MAX = 100;

// Enforced whatever the mode of other limits is: a password is guessed once.
const window = (name: string, limit: number): FixedWindow => ({
  algorithm: 'fixed-window',
  name,
  limit,
  windowSeconds: ATTEMPTS_WINDOW_MS / 1000,
  mode: 'enforce',
});
const BOTH = window('sign-in', FAILURES_PER_ACCOUNT_AND_ADDRESS_MAX);
const ADDRESS = window('sign-in-address', FAILURES_PER_ADDRESS_MAX);
const ACCOUNT = window('sign-in-account', FAILURES_PER_ACCOUNT_MAX);

export function createAttempts(limits: Limits): Attempts {
  return {
    async begin(account, address) {
      const place = networkOf(address);
      const who = createHash('sha256').update(account).digest('base64url');
      const decision = await limits.take({
        charges: [
          { policy: BOTH, key: `${who}/${place}`, cost: 1 },
          { policy: ADDRESS, key: place, cost: 1 },
          { policy: ACCOUNT, key: who, cost: 1 },
        ],
      });
      if (!decision.allowed) throw tooMany(decision.retryAfterSeconds);
      return {
        succeed() {
          const [both, ...others] = decision.charges as [ChargeState, ...ChargeState[]];
          return limits.giveBack({ ...decision, charges: [forgiven(both), ...others] });
        },
        giveBack: () => limits.giveBack(decision),
      };
    },
  };
}

/** Whoever knows the password has shown that the earlier failures from here were their own. */
function forgiven(state: ChargeState): ChargeState {
  return { ...state, charge: { ...state.charge, cost: state.limit - state.remaining } };
}

function tooMany(seconds: number): Fault {
  return new Fault('too-many-attempts', `Too many failed attempts. The next one is accepted in ${seconds} s.`, {
    retryAfterSeconds: seconds,
  });
}
