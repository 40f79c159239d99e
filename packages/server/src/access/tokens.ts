import { hash, type KeyObject } from 'node:crypto';
import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import { calculateJwkThumbprint, errors, exportJWK, type JWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Audience } from './principal.ts';
import type { Secrets } from './secrets.ts';
import type { SigningKeyRow } from './signing-key-store.ts';

/**
 * Access tokens: JWTs (RFC 7519, RFC 9068 `at+jwt`) signed with Ed25519 (RFC 8032, RFC 9864) and nothing else.
 * Promise: a token of another algorithm, type, issuer or key is refused, keys named by the token itself are never
 * looked at, and a token that was verified once costs one SHA-256 from then on (verifying costs about 155 us, the
 * cached answer 2.5). Assumes the caller checks what may change during a token's life: the key's state.
 */
export interface TokenClaims {
  readonly keyId: string;
  readonly organizationId: string;
  readonly audience: Audience;
  readonly scopes: readonly string[];
  readonly product: string | null;
  readonly generation: number;
  readonly expiresAtMs: number;
}

export interface Tokens {
  /** `endsAtMs`: when the key ends, milliseconds since the epoch, or Infinity; a token never outlives its key. */
  mint(claims: Omit<TokenClaims, 'expiresAtMs'>, endsAtMs: number): Promise<MintedToken>;
  /** At once for a token seen before. */
  verify(token: string): TokenClaims | Promise<TokenClaims>;
  /** The public keys, as a JWK set (RFC 7517), coming and retiring ones included. */
  jwks(): { keys: readonly JWK[] };
  use(rows: readonly SigningKeyRow[]): Promise<void>;
}

export interface MintedToken {
  readonly token: string;
  /** Whole seconds, like `exp`. */
  readonly expiresAtMs: number;
  /** From now on: the configured life, or what is left of the key's, rounded down. */
  readonly expiresInSeconds: number;
}

const ALGORITHM = 'Ed25519';
const TYPE = 'at+jwt';
const VERIFIED_TOKENS_MAX = 20_000;
const TOKEN_CHARS_MAX = 4_096;

interface SigningKey extends SigningKeyRow {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: JWK;
}

interface TokensParts {
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly issuer: string;
  readonly ttlSeconds: number;
}

export function createTokens(parts: TokensParts): Tokens {
  const { clock, ttlSeconds } = parts;
  const verified = new LRUCache<string, TokenClaims>({ max: VERIFIED_TOKENS_MAX });
  let keys: readonly SigningKey[] = [];

  /** Coming ones included; a retired one goes at its time, whether or not anybody reads the table again. */
  const published = () => keys.filter((key) => key.retiresAt === null || key.retiresAt.getTime() > clock.nowMs());

  async function verifyAfresh(token: string, digest: string): Promise<TokenClaims> {
    const claims = await verifyToken(parts, published(), token);
    verified.set(digest, claims);
    return claims;
  }

  return {
    async mint(claims, endsAtMs) {
      const nowMs = clock.nowMs();
      const key = keys.findLast((candidate) => candidate.activatesAt.getTime() <= nowMs) ?? keys[0];
      if (key === undefined) throw notReady();
      const nowSeconds = Math.floor(nowMs / 1000);
      const expiresSeconds = Math.min(nowSeconds + ttlSeconds, Math.floor(endsAtMs / 1000));
      const token = await signToken(parts, key, claims, { nowSeconds, expiresSeconds });
      const leftSeconds = Math.max(0, Math.floor((endsAtMs - nowMs) / 1000));
      return { token, expiresAtMs: expiresSeconds * 1000, expiresInSeconds: Math.min(ttlSeconds, leftSeconds) };
    },
    verify(token) {
      if (token.length > TOKEN_CHARS_MAX)
        throw new Fault('invalid-token', 'This is not a token this server has issued.');
      const digest = hash('sha256', token, 'base64');
      const claims = verified.get(digest);
      if (claims === undefined) return verifyAfresh(token, digest);
      if (claims.expiresAtMs <= clock.nowMs()) throw expired(ttlSeconds);
      return claims;
    },
    jwks: () => ({ keys: published().map((key) => key.jwk) }),
    async use(rows) {
      const isSame = rows.length === keys.length && rows.every((row, place) => row.number === keys[place]?.number);
      const known = new Map(keys.map((key) => [key.number, key]));
      keys = await Promise.all(
        rows.map(async (row) => ({ ...(known.get(row.number) ?? (await deriveKey(parts.secrets, row))), ...row })),
      );
      // A retired key takes the tokens it signed with it.
      if (!isSame) verified.clear();
    },
  };
}

function signToken(
  { ids, issuer }: TokensParts,
  key: SigningKey,
  claims: Omit<TokenClaims, 'expiresAtMs'>,
  { nowSeconds, expiresSeconds }: { nowSeconds: number; expiresSeconds: number },
): Promise<string> {
  const { organizationId: org, scopes, generation: gen, product, audience, keyId } = claims;
  return new SignJWT({ org, scope: scopes.join(' '), gen, ...(product !== null && { product }) })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: key.kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(keyId)
    .setJti(ids.uuid())
    .setIssuedAt(nowSeconds)
    .setNotBefore(nowSeconds)
    .setExpirationTime(expiresSeconds)
    .sign(key.privateKey);
}

/** Throws `token-expired`, `invalid-token`. */
async function verifyToken(
  { clock, issuer, ttlSeconds }: TokensParts,
  keys: readonly SigningKey[],
  token: string,
): Promise<TokenClaims> {
  const findPublicKey = ({ kid }: { kid?: string | undefined }): KeyObject => {
    const key = keys.find((known) => known.kid === kid);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return key.publicKey;
  };
  const expected = {
    algorithms: [ALGORITHM],
    typ: TYPE,
    issuer,
    audience: ['partner', 'customer'],
    requiredClaims: ['sub', 'exp', 'iat', 'nbf', 'jti', 'org', 'scope', 'gen'],
    currentDate: new Date(clock.nowMs()),
  };
  try {
    return readClaims((await jwtVerify(token, findPublicKey, expected)).payload);
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw expired(ttlSeconds, error);
    const detail = 'This is not a token this server has issued for this API. Get a new one with your API key.';
    throw new Fault('invalid-token', detail, { cause: error });
  }
}

function readClaims(payload: JWTPayload): TokenClaims {
  return {
    keyId: String(payload.sub),
    organizationId: String(payload.org),
    audience: payload.aud === 'partner' ? 'partner' : 'customer',
    scopes: String(payload.scope).split(' '),
    product: typeof payload.product === 'string' ? payload.product : null,
    generation: Number(payload.gen),
    expiresAtMs: Number(payload.exp) * 1000,
  };
}

async function deriveKey(secrets: Secrets, row: SigningKeyRow): Promise<SigningKey> {
  const pair = secrets.signingKey(row.number);
  const bare = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(bare);
  return { ...row, ...pair, kid, jwk: { ...bare, kid, alg: ALGORITHM, use: 'sig' } };
}

function expired(ttlSeconds: number, cause?: unknown): Fault {
  return new Fault(
    'token-expired',
    `The access token has expired. Get a new one with your API key; a token lives ${ttlSeconds} s at most.`,
    { cause },
  );
}

function notReady(): Fault {
  return new Fault('temporarily-unavailable', 'The server is not ready to issue tokens yet.', { retryAfterSeconds: 1 });
}
