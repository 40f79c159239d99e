import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { LRUCache } from 'lru-cache';
import type { Database } from '../database/database.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import { digestApiKey, findPublicId, isSameDigest, PEPPER_VERSION } from './api-key.ts';
import { openKeyDirectory } from './key-directory.ts';
import {
  endsAtMs,
  isAllowedAddress,
  isGood,
  type KeyRow,
  overlapOf,
  publicIdOf,
  signingGenerationsOf,
} from './key-state.ts';
import { openKeyUsage } from './key-usage.ts';
import type { Audience, KeyOverlap, Principal } from './principal.ts';
import { type RotatedKey, type Rotation, rotateKey } from './rotate-key.ts';
import type { Secrets } from './secrets.ts';
import * as store from './store.ts';
import { createTokens, type TokenClaims, type Tokens } from './tokens.ts';

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
  /**
   * Calls `end` once, with the reason, when a stream that was opened by the principal from `address` may not go on: at
   * once if it may not already. The answer stops watching.
   */
  watch(principal: Principal, end: (reason: Fault) => void, address?: string): () => void;
  /** To be called after a change of keys is committed: this node knows it when it resolves, others are rung. */
  announceChange(): Promise<void>;
  /** Calls `listen` after every rise of the access epoch that this node learns of. */
  onChange(listen: () => void): () => void;
  /** The key that exists and was refused with this fault, so that its organization can see it; else undefined. */
  findRefusedKey(fault: Fault): { readonly keyId: string; readonly organizationId: string } | undefined;
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
  readonly doorbell: Doorbell;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly issuer: string;
  readonly tokenTtlSeconds: number;
  /** Counts a try of a key that is sent as it is and not known here, or throws; the answer takes back one that was not wrong. */
  readonly beginAttempt?: (address: string) => Promise<() => void>;
}

const KNOWN_KEYS_MAX = 20_000;
/** A timer of Node runs for 24.8 days at most; whoever waits longer looks again after a day. */
const LOOK_AGAIN_MS = 86_400_000;
/** Compared with when there is no such key, so that this takes as long as a wrong secret. */
const NO_DIGEST = Buffer.alloc(32);

export async function openAccess(parts: AccessParts): Promise<Access> {
  const { database, clock, log } = parts;
  const tokens = createTokens({ ...parts, ttlSeconds: parts.tokenTtlSeconds });
  const useSigningKeys = async () => tokens.use(await store.readSigningKeys(database, new Date(clock.nowMs())));
  await useSigningKeys();
  const directory = await openKeyDirectory(parts);
  const usage = openKeyUsage(parts);
  const pepper = parts.secrets.derive(`api-key-pepper/${PEPPER_VERSION}`);
  /** Digest of a key that was found right -> which key and generation it is. That never changes; its state does. */
  const known = new LRUCache<string, KeyUse>({ max: KNOWN_KEYS_MAX });
  const watched = new Set<() => void>();
  directory.onChange(() => {
    useSigningKeys().catch((error: unknown) => log.warn({ err: error }, 'the signing keys could not be read'));
    for (const look of [...watched]) look();
  });

  const refused = new WeakMap<Fault, { keyId: string; organizationId: string }>();
  function refuse(key: KeyRow | undefined, fault: Fault): never {
    if (key !== undefined) refused.set(fault, { keyId: key.id, organizationId: key.organizationId });
    throw fault;
  }

  /** Throws unless this generation of the key may be used now, from `address`. */
  function admit(key: KeyRow | undefined, use: KeyUse, address: string, dead: () => Fault): asserts key is KeyRow {
    if (!isGood(key, use.generation, clock.nowMs())) refuse(key, dead());
    if (!isAllowedAddress(key, address)) refuse(key, addressNotAllowed());
    usage.touch(key.id, use.generation, address);
  }

  function principalOfToken(key: KeyRow | undefined, claims: TokenClaims, address: string): Principal {
    admit(key, claims, address, deadToken);
    const before = principals.get(claims);
    if (before?.key === key) return before.principal;
    const principal = toPrincipal(key, claims.generation, claims.expiresAtMs);
    principals.set(claims, { key, principal });
    return principal;
  }

  function principalOfKey(key: KeyRow | undefined, use: KeyUse, address: string): Principal {
    admit(key, use, address, () => deadKey());
    if (use.last?.key === key) return use.last.principal;
    const principal = toPrincipal(key, use.generation, endsAtMs(key, use.generation));
    use.last = { key, principal };
    return principal;
  }

  /** Which key it is; undefined for what is no key of this installation. Mistyped ones are told without the database. */
  async function recognize(apiKey: string, digest: Buffer): Promise<KeyUse | undefined> {
    const publicId = findPublicId(apiKey);
    if (publicId === undefined) return undefined;
    const secret = await store.findSecret(database, publicId);
    const isRight = isSameDigest(secret?.digest ?? NO_DIGEST, digest);
    return secret && isRight ? { keyId: secret.keyId, generation: secret.generation, last: undefined } : undefined;
  }

  async function authenticateUnknown(
    apiKey: string,
    digest: Buffer,
    name: string,
    address: string,
  ): Promise<Principal> {
    const forgive = await parts.beginAttempt?.(address);
    try {
      const recognized = await recognize(apiKey, digest);
      if (recognized === undefined) throw deadKey();
      known.set(name, recognized);
      const principal = principalOfKey(await directory.find(recognized.keyId), recognized, address);
      forgive?.();
      return principal;
    } catch (error) {
      // The database was away: nobody knows whether the key was wrong.
      if (!(error instanceof Fault && (error.status === 401 || error.status === 403))) forgive?.();
      throw error;
    }
  }

  return {
    async exchange(audience, apiKey, address) {
      const use = await recognize(apiKey, digestApiKey(pepper, apiKey));
      // From the database, not from memory: a new token is as good as the key is now, whatever node is asked.
      const key = use && (await store.findKey(database, use.keyId));
      if (use === undefined || key === undefined) throw deadKey(audience);
      if (key.audience !== audience) refuse(key, deadKey(audience));
      admit(key, use, address, () => deadKey(audience));
      const { id: keyId, organizationId, scopes } = key;
      const { generation } = use;
      const claims = { keyId, organizationId, audience, scopes, product: productOf(key), generation };
      const { token, ...life } = await tokens.mint(claims, endsAtMs(key, generation));
      return { accessToken: token, ...life, scopes, overlap: overlapOf(key, generation) };
    },
    authenticate(token, address) {
      const claims = tokens.verify(token);
      if (claims instanceof Promise) {
        return claims.then(async (verified) =>
          principalOfToken(await directory.find(verified.keyId), verified, address),
        );
      }
      const key = directory.find(claims.keyId);
      return key instanceof Promise
        ? key.then((found) => principalOfToken(found, claims, address))
        : principalOfToken(key, claims, address);
    },
    authenticateKey(apiKey, address) {
      const digest = digestApiKey(pepper, apiKey);
      const name = digest.toString('base64');
      const use = known.get(name);
      if (use === undefined) return authenticateUnknown(apiKey, digest, name, address);
      const key = directory.find(use.keyId);
      return key instanceof Promise
        ? key.then((found) => principalOfKey(found, use, address))
        : principalOfKey(key, use, address);
    },
    async rotate(principal, rotation) {
      const rotated = await rotateKey(parts, principal, rotation);
      await announceChange();
      return rotated;
    },
    watch(principal, end, address) {
      let cancelTimer = () => {};
      const stop = () => {
        cancelTimer();
        watched.delete(look);
      };
      const finish = (reason: Fault) => {
        if (!watched.has(look)) return;
        stop();
        end(reason);
      };
      const judge = (key: KeyRow | undefined) => {
        if (!watched.has(look)) return;
        const reason = reasonToEnd(key, principal, address, clock.nowMs());
        if (reason !== undefined) return finish(reason);
        cancelTimer();
        const leftMs = endsAtMs(key, principal.generation) - clock.nowMs();
        if (leftMs !== Number.POSITIVE_INFINITY) cancelTimer = clock.after(Math.min(leftMs, LOOK_AGAIN_MS), look);
      };
      const look = () => {
        const key = directory.find(principal.keyId);
        if (key instanceof Promise) key.then(judge, () => finish(unchecked()));
        else judge(key);
      };
      watched.add(look);
      look();
      return stop;
    },
    announceChange,
    onChange: directory.onChange,
    findRefusedKey: (fault) => refused.get(fault),
    jwks: () => tokens.jwks(),
    async close() {
      directory.close();
      await usage.close();
    },
  };

  async function announceChange(): Promise<void> {
    parts.doorbell.ring('keys');
    // The change is committed: when this node cannot look right now, its poll and its lease will.
    await directory
      .refresh()
      .catch((error: unknown) => log.warn({ err: error }, 'a change of keys is not known here yet'));
  }
}

/** Which generation of which key; `last`: the principal made of it, for as long as the key stands as it stood. */
interface KeyUse {
  readonly keyId: string;
  readonly generation: number;
  last?: { key: KeyRow; principal: Principal } | undefined;
}

/** The principal made of these claims, for as long as the key stands as it stood; a changed key is another object. */
const principals = new WeakMap<TokenClaims, { key: KeyRow; principal: Principal }>();

function toPrincipal(key: KeyRow, generation: number, tokenExpiresAtMs: number): Principal {
  return {
    keyId: key.id,
    publicId: publicIdOf(key, generation),
    organizationId: key.organizationId,
    organizationKind: key.organizationKind,
    audience: key.audience,
    partnerId: key.partnerId,
    scopes: new Set(key.scopes),
    product: productOf(key),
    plantIds: key.plantIds && new Set(key.plantIds),
    requireSignature: key.requireSignature,
    signingGenerations: signingGenerationsOf(key),
    generation,
    overlap: overlapOf(key, generation),
    tokenExpiresAtMs,
  };
}

const PRODUCT = 'product:';

function productOf(key: KeyRow): string | null {
  return key.scopes.find((scope) => scope.startsWith(PRODUCT))?.slice(PRODUCT.length) ?? null;
}

/** Why a stream of this principal may not go on; undefined: it may. */
function reasonToEnd(
  key: KeyRow | undefined,
  principal: Principal,
  address: string | undefined,
  nowMs: number,
): Fault | undefined {
  if (!isGood(key, principal.generation, nowMs)) return deadToken();
  if (address !== undefined && !isAllowedAddress(key, address)) return addressNotAllowed();
  const isSame = (one: Iterable<string>, other: Iterable<string>) =>
    [...one].sort().join(' ') === [...other].sort().join(' ');
  const plantsStay =
    key.plantIds === null
      ? principal.plantIds === null
      : principal.plantIds !== null && isSame(key.plantIds, principal.plantIds);
  if (plantsStay && isSame(key.scopes, principal.scopes)) return undefined;
  return new Fault(
    'invalid-token',
    'What the key behind this stream may see has changed. Subscribe again with the cursor.',
  );
}

/** The one answer to every API key that is not good, so that it tells nothing about which keys exist. */
function deadKey(audience?: Audience): Fault {
  const what = audience === undefined ? 'an API key' : `a ${audience} API key`;
  return new Fault(
    'invalid-api-key',
    `This is not ${what} that is valid here. Check that it was copied whole into X-API-KEY, and that it has not been revoked or expired.`,
  );
}

function deadToken(): Fault {
  return new Fault(
    'invalid-token',
    'The API key behind this token has been revoked, has expired or was rotated. Authenticate again with a valid key.',
  );
}

function addressNotAllowed(): Fault {
  return new Fault(
    'address-not-allowed',
    'This key may not be used from your network address. An admin of your organization can change its allowedIps.',
  );
}

function unchecked(): Fault {
  return new Fault(
    'temporarily-unavailable',
    'The key behind this stream cannot be checked right now. Subscribe again with the cursor.',
    { retryAfterSeconds: 1 },
  );
}
