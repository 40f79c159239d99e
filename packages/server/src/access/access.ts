import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Ids } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Database } from '../database/database.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import { digestApiKey, findPublicId, isSameDigest, PEPPER_VERSION } from './api-key.ts';
import { type KeyDirectory, openKeyDirectory } from './key-directory.ts';
import type { Audience, Principal } from './principal.ts';
import type { Secrets } from './secrets.ts';
import * as store from './store.ts';
import { createTokens, type TokenClaims, type Tokens } from './tokens.ts';

/**
 * Who is calling. An API key is traded for a 30-minute token (`exchange`), a token becomes a `Principal` on every
 * request (`authenticate`). Promise: an unknown, revoked, expired or wrong-audience key gets one and the same answer;
 * a token is worth nothing once its key is revoked, expired or rotated past it, on this node at the next request.
 * Assumes the key directory is no staler than its lease. Fails closed: no answer from the database, no admission.
 */
export interface Access {
  exchange(audience: Audience, apiKey: string, address: string): Promise<IssuedToken>;
  authenticate(token: string): Principal | Promise<Principal>;
  /** Calls `end` once when the principal's key stops being good; the answer stops watching. */
  watch(principal: Principal, end: () => void): () => void;
  jwks: Tokens['jwks'];
  close(): void;
}

export interface IssuedToken {
  readonly accessToken: string;
  readonly expiresAtMs: number;
  readonly scopes: readonly string[];
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
}

export async function openAccess(parts: AccessParts): Promise<Access> {
  const { database, clock, log } = parts;
  const tokens = createTokens({ ...parts, ttlSeconds: parts.tokenTtlSeconds });
  const useSigningKeys = async () => tokens.use(await store.readSigningKeys(database, new Date(clock.nowMs())));
  await useSigningKeys();
  const directory = await openKeyDirectory(parts);
  const pepper = parts.secrets.derive(`api-key-pepper/${PEPPER_VERSION}`);
  const watched = new Set<() => void>();
  directory.onChange(() => {
    useSigningKeys().catch((error: unknown) => log.warn({ err: error }, 'the signing keys could not be read'));
    for (const check of watched) check();
  });

  return {
    exchange: (audience, apiKey, address) => exchange({ ...parts, tokens, directory, pepper }, audience, apiKey, address),
    authenticate(token) {
      const claims = tokens.verify(token);
      if (claims instanceof Promise) return claims.then((verified) => admit(directory, clock, verified));
      return admit(directory, clock, claims);
    },
    watch(principal, end) {
      const look = async () => {
        const key = await Promise.resolve(directory.find(principal.keyId)).catch(() => undefined);
        if (watched.has(check) && !isGood(key, principal.generation, clock.nowMs())) {
          watched.delete(check);
          end();
        }
      };
      const check = () => void look();
      watched.add(check);
      return () => watched.delete(check);
    },
    jwks: () => tokens.jwks(),
    close: () => directory.close(),
  };
}

function isGood(key: store.KeyRow | undefined, generation: number, nowMs: number): key is store.KeyRow {
  if (key === undefined || key.revokedAt !== null) return false;
  if (key.expiresAt !== null && key.expiresAt.getTime() <= nowMs) return false;
  const overlapEnd = key.generations.get(generation);
  return overlapEnd === null || (overlapEnd !== undefined && overlapEnd.getTime() > nowMs);
}

/** The principal made of these claims, for as long as the key stands as it stood; a changed key is another object. */
const principals = new WeakMap<TokenClaims, { key: store.KeyRow; principal: Principal }>();

function admit(directory: KeyDirectory, clock: Clock, claims: TokenClaims): Principal | Promise<Principal> {
  const key = directory.find(claims.keyId);
  return key instanceof Promise ? key.then((found) => toPrincipal(found, claims, clock)) : toPrincipal(key, claims, clock);
}

function toPrincipal(key: store.KeyRow | undefined, claims: TokenClaims, clock: Clock): Principal {
  if (!isGood(key, claims.generation, clock.nowMs())) {
    throw new Fault('invalid-token', 'The API key behind this token has been revoked, has expired or was rotated. Authenticate again with a valid key.');
  }
  const known = principals.get(claims);
  if (known?.key === key) return known.principal;
  const principal: Principal = {
    keyId: key.id,
    organizationId: key.organizationId,
    organizationKind: key.organizationKind,
    audience: claims.audience,
    partnerId: key.partnerId,
    scopes: new Set(key.scopes),
    product: claims.product,
    plantIds: key.plantIds && new Set(key.plantIds),
    generation: claims.generation,
    tokenExpiresAtMs: claims.expiresAtMs,
  };
  principals.set(claims, { key, principal });
  return principal;
}

type ExchangeParts = AccessParts & { tokens: Tokens; directory: KeyDirectory; pepper: Buffer };

async function exchange(parts: ExchangeParts, audience: Audience, apiKey: string, address: string): Promise<IssuedToken> {
  const { database, clock } = parts;
  const publicId = findPublicId(apiKey);
  const digest = digestApiKey(parts.pepper, apiKey);
  const secret = publicId === undefined ? undefined : await store.findSecret(database, publicId);
  const key = secret && isSameDigest(secret.digest, digest) ? await store.findKey(database, secret.keyId) : undefined;
  if (secret === undefined || !isGood(key, secret.generation, clock.nowMs()) || key.audience !== audience) {
    throw new Fault('invalid-api-key', `This is not a valid ${audience} API key. Check that it was copied whole into X-API-KEY, and that it has not been revoked or expired.`);
  }
  const product = key.scopes.find((scope) => scope.startsWith('product:'))?.slice('product:'.length) ?? null;
  const minted = await parts.tokens.mint({
    keyId: key.id,
    organizationId: key.organizationId,
    audience,
    scopes: key.scopes,
    product,
    generation: secret.generation,
  });
  await store.markUsed(database, secret, new Date(clock.nowMs()), address);
  return { accessToken: minted.token, expiresAtMs: minted.expiresAtMs, scopes: key.scopes };
}
