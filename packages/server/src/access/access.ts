import type { Clock } from '@gladhand/base/clock.ts';
import { coalesce } from '@gladhand/base/coalesce.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from '../database/database.ts';
import type { Epoch } from '../database/epoch.ts';
import { type Admission, createAdmission, productOf, type RefusedKey } from './admission.ts';
import { type KeyDirectory, openKeyDirectory } from './key-directory.ts';
import { deadKey } from './key-refusals.ts';
import { endsAtMs, overlapOf } from './key-state.ts';
import { findKey } from './key-state-store.ts';
import { openKeyUsage } from './key-usage.ts';
import type { Audience, KeyOverlap, Principal } from './principal.ts';
import { createKeyRecognition, type KeyRecognition } from './recognize-key.ts';
import { type RotatedKey, type Rotation, rotateKey } from './rotate-key.ts';
import type { Secrets } from './secrets.ts';
import { readSigningKeys } from './signing-key-store.ts';
import { createTokens, type Tokens } from './tokens.ts';
import { openStreamWatch, type StreamWatch } from './watch-streams.ts';

/**
 * Who is calling. An API key is traded for a short-lived token (`exchange`), a token becomes a `Principal` on every
 * request (`authenticate`). Promise: an unknown, revoked, expired or wrong-audience key gets one and the same answer;
 * a token is worth nothing once its key is revoked, expired, rotated past it, or used from elsewhere than it may be:
 * on this node at the next request, on others when they hear of it, at the latest after the directory's lease.
 * Assumes the key directory is no staler than its lease. Fails closed: no answer from the database, no admission.
 */
export interface Access {
  exchange(audience: Audience, apiKey: string, address: string): Promise<IssuedToken>;
  authenticate(token: string, address: string): Principal | Promise<Principal>;
  /** The same for an API key itself, which costs no database once it was seen. */
  authenticateKey(apiKey: string, address: string): Principal | Promise<Principal>;
  /** Gives the principal's key its next generation. */
  rotate(principal: Principal, rotation: Rotation): Promise<RotatedKey>;
  watch: StreamWatch['watch'];
  /** The key that exists and was refused with this fault, so that its organization can see it; else undefined. */
  findRefusedKey(fault: Fault): RefusedKey | undefined;
  jwks: Tokens['jwks'];
  close(): Promise<void>;
}

export interface IssuedToken {
  readonly accessToken: string;
  readonly expiresAtMs: number;
  readonly expiresInSeconds: number;
  readonly scopes: readonly string[];
  /** Set when the key is one that was rotated and is in its overlap. */
  readonly overlap: KeyOverlap | null;
}

export interface AccessParts {
  readonly database: Database;
  readonly epoch: Epoch;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly issuer: string;
  readonly tokenTtlSeconds: number;
  /** Counts a try of a key that is sent as it is and not known here, or throws; the answer takes back one that was not wrong. */
  readonly beginAttempt?: (address: string) => Promise<() => void>;
}

export async function openAccess(parts: AccessParts): Promise<Access> {
  const { clock, epoch } = parts;
  const tokens = createTokens({ ...parts, ttlSeconds: parts.tokenTtlSeconds });
  const stopFollowing = await followSigningKeys(parts, tokens);
  const directory = openKeyDirectory(parts);
  const usage = openKeyUsage(parts);
  const admission = createAdmission({ clock, usage });
  const recognition = createKeyRecognition(parts);
  const streams = openStreamWatch({ clock, epoch, directory });
  return {
    exchange: createExchange(parts, { tokens, admission, recognition }),
    authenticate: (token, address) =>
      whenThere(tokens.verify(token), (claims) =>
        whenThere(directory.find(claims.keyId), (key) => admission.ofToken(key, claims, address)),
      ),
    authenticateKey: createKeyAuthentication(parts, { admission, recognition, directory }),
    async rotate(principal, rotation) {
      const rotated = await rotateKey(parts, principal, rotation);
      await epoch.announceChange();
      return rotated;
    },
    watch: streams.watch,
    findRefusedKey: admission.findRefusedKey,
    jwks: () => tokens.jwks(),
    async close() {
      stopFollowing();
      streams.close();
      directory.close();
      await usage.close();
    },
  };
}

/** Gives `tokens` the signing keys, now and after every rise of the epoch; the answer stops it. */
async function followSigningKeys({ database, clock, epoch, log }: AccessParts, tokens: Tokens): Promise<() => void> {
  const read = coalesce(async () => tokens.use(await readSigningKeys(database, new Date(clock.nowMs()))));
  const stop = epoch.onRise(() => {
    read().catch((error: unknown) => log.warn({ err: error }, 'the signing keys could not be read'));
  });
  await read();
  return stop;
}

/** Trades an API key for a token. */
function createExchange(
  { database }: AccessParts,
  room: { tokens: Tokens; admission: Admission; recognition: KeyRecognition },
): Access['exchange'] {
  const { tokens, recognition } = room;
  return async (audience, apiKey, address) => {
    const use = await recognition.recognize(apiKey);
    // From the database, not from memory: a new token is as good as the key is now, whatever node is asked.
    const key = use && (await findKey(database, use.keyId));
    if (use === undefined || key === undefined) throw deadKey(audience);
    if (key.audience !== audience) room.admission.refuse(key, deadKey(audience));
    room.admission.admit(key, use, address, () => deadKey(audience));
    const { id: keyId, organizationId, scopes } = key;
    const { generation } = use;
    const claims = { keyId, organizationId, audience, scopes, product: productOf(key), generation };
    const { token, ...life } = await tokens.mint(claims, endsAtMs(key, generation));
    return { accessToken: token, ...life, scopes, overlap: overlapOf(key, generation) };
  };
}

/** Takes an API key as it is: at once when it was seen before, else as a counted try. */
function createKeyAuthentication(
  { beginAttempt }: AccessParts,
  room: { admission: Admission; recognition: KeyRecognition; directory: KeyDirectory },
): Access['authenticateKey'] {
  const { admission, recognition, directory } = room;

  async function authenticateUnknown(apiKey: string, address: string): Promise<Principal> {
    const forgive = await beginAttempt?.(address);
    try {
      const use = await recognition.learn(apiKey);
      if (use === undefined) throw deadKey();
      const principal = admission.ofKey(await directory.find(use.keyId), use, address);
      forgive?.();
      return principal;
    } catch (error) {
      // The database was away: nobody knows whether the key was wrong.
      if (!(error instanceof Fault && (error.status === 401 || error.status === 403))) forgive?.();
      throw error;
    }
  }

  return (apiKey, address) => {
    const use = recognition.recall(apiKey);
    if (use === undefined) return authenticateUnknown(apiKey, address);
    return whenThere(directory.find(use.keyId), (key) => admission.ofKey(key, use, address));
  };
}

/** `use` of a value: at once when the value is there, so that what is known costs no turn of the event loop. */
function whenThere<Value, Result>(
  value: Value | Promise<Value>,
  use: (value: Value) => Result | Promise<Result>,
): Result | Promise<Result> {
  return value instanceof Promise ? value.then(use) : use(value);
}
