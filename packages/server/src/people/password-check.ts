import { Fault } from '@gladhand/base/fault.ts';
import type { Limits } from '../limits/limits.ts';
import { createAttempts } from './attempt-limit.ts';
import { isPassword } from './password.ts';

/** Checks passwords: only so many at once, and only so many wrong ones for an account and from an address. */
export interface PasswordCheck {
  /** One unit of argon2 work, whoever asks and whatever comes of it. Throws `temporarily-unavailable` when too many wait. */
  verify(password: string, hash: string | null): Promise<boolean>;
  /**
   * Does what needs the right password; when it throws 401 or 403, that counts against the account and the address, and
   * nothing else does. Throws `too-many-attempts` without doing it.
   */
  attempt<Result>(email: string, address: string, work: () => Promise<Result>): Promise<Result>;
}

/** Verifications under way or waiting at once; each takes 19 MiB and 36 ms while it runs. */
const VERIFICATIONS_MAX = 32;
/** Of a password nobody has: what an unknown address is verified against. */
const NOBODYS_HASH = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

export function createPasswordCheck(limits: Limits): PasswordCheck {
  const attempts = createAttempts(limits);
  let verifications = 0;
  return {
    async verify(password, hash) {
      if (verifications >= VERIFICATIONS_MAX) throw tooManyAtOnce();
      verifications += 1;
      try {
        return (await isPassword(password, hash ?? NOBODYS_HASH)) && hash !== null;
      } finally {
        verifications -= 1;
      }
    },
    async attempt(email, address, work) {
      const counted = await attempts.begin(email.toLowerCase(), address);
      try {
        const result = await work();
        await counted.succeed();
        return result;
      } catch (error) {
        const isWrong = error instanceof Fault && (error.status === 401 || error.status === 403);
        if (!isWrong) await counted.giveBack();
        throw error;
      }
    },
  };
}

function tooManyAtOnce(): Fault {
  const detail = 'Many people are signing in at the moment. Send the same request again.';
  return new Fault('temporarily-unavailable', detail, { retryAfterSeconds: 1 });
}
