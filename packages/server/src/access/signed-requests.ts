import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Database } from '../database/database.ts';
import { deriveSigningKey } from './issue-key.ts';
import { createNonces } from './nonces.ts';
import type { Principal } from './principal.ts';
import type { Secrets } from './secrets.ts';
import {
  checkDigest,
  invalid,
  isSignedWith,
  type ReadSignature,
  type ReceivedRequest,
  readSignature,
} from './signature.ts';

/**
 * Signed intake. Promise: a request that passes `check` and is signed was made with a signing key of its own API key,
 * within 300 s, arrived as it was signed, and passes once; an unsigned one passes only when the key does not require
 * signatures. A signature that is there is always checked. Assumes clocks within the window, and a principal that the
 * guard has admitted. Fails with a Fault; a nonce is spent only by a request with which everything else is right, and
 * when that cannot be written down, the request is refused (503).
 */
export interface SignedRequests {
  check(principal: Principal, request: ReceivedRequest): Promise<void>;
}

/** Either way. What Stripe, AWS and others allow; a clock disciplined by NTP is off by milliseconds. */
export const WINDOW_SECONDS = 300;
/** Added to how long a nonce is kept, for nodes whose clocks differ. */
const NODE_SKEW_SECONDS = 300;

export function createSignedRequests(parts: {
  readonly database: Database;
  readonly secrets: Secrets;
  readonly clock: Clock;
}): SignedRequests {
  const { secrets, clock } = parts;
  const nonces = createNonces(parts.database);
  return {
    async check(principal, request) {
      const read = readSignature(request);
      if (read === undefined) {
        if (!principal.requireSignature) return;
        throw new Fault(
          'signature-missing',
          'This API key takes signed requests only. Sign them with its signing key as docs/signing.md shows: Content-Digest, Signature-Input, Signature.',
        );
      }
      const { keyId } = principal;
      if (read.keyId !== keyId)
        throw invalid(`the parameter keyid must be the id of the API key behind the access token, ${keyId}`);
      if (!isGenuine(secrets, principal, read, clock.nowMs())) {
        throw invalid(
          'no signing key of this API key that is good now made it. What the server read stands in errors; compare it with what was signed',
          read.base,
        );
      }
      checkTime(read, clock.nowMs());
      checkDigest(read.contentDigest, request.body);
      const keptUntilSeconds = read.createdSeconds + WINDOW_SECONDS + NODE_SKEW_SECONDS;
      if (!(await nonces.spend({ keyId, nonce: read.nonce, expiresAt: new Date(keptUntilSeconds * 1000) }))) {
        throw new Fault(
          'signature-replayed',
          'This nonce was used before with this key. Sign every attempt anew, also a retry of the same body: new nonce, new created.',
        );
      }
    },
  };
}

/** In the overlap of a rotation the keys of both generations are good, whichever of them the token is of. */
function isGenuine(secrets: Secrets, principal: Principal, read: ReadSignature, nowMs: number): boolean {
  const good = (principal.signingGenerations ?? []).filter(({ endsAtMs }) => endsAtMs > nowMs);
  return good
    .map(({ generation }) => isSignedWith(deriveSigningKey(secrets, principal.keyId, generation), read))
    .includes(true);
}

function checkTime(read: ReadSignature, nowMs: number): void {
  const ageSeconds = Math.round(nowMs / 1000 - read.createdSeconds);
  const now = new Date(nowMs).toISOString();
  if (Math.abs(nowMs / 1000 - read.createdSeconds) > WINDOW_SECONDS) {
    const skew = `${Math.abs(ageSeconds)} s ${ageSeconds > 0 ? 'behind' : 'ahead of'}`;
    throw new Fault(
      'signature-expired',
      `created is ${skew} this server's clock, which reads ${now} (see the Date header); ${WINDOW_SECONDS} s are allowed either way. Correct the clock skew of the sender, and sign each request when it is sent.`,
    );
  }
  if (read.expiresSeconds !== null && read.expiresSeconds * 1000 <= nowMs) {
    throw new Fault(
      'signature-expired',
      `The signature ended at its own parameter expires; this server's clock reads ${now} (see the Date header).`,
    );
  }
}
