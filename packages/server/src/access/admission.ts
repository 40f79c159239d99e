import type { Clock } from '@gladhand/base/clock.ts';
import type { Fault } from '@gladhand/base/fault.ts';
import { addressNotAllowed, deadKey, deadToken } from './key-refusals.ts';
import {
  endsAtMs,
  isAllowedAddress,
  isGood,
  type KeyRow,
  overlapOf,
  publicIdOf,
  signingGenerationsOf,
} from './key-state.ts';
import type { KeyUsage } from './key-usage.ts';
import type { Principal } from './principal.ts';
import type { TokenClaims } from './tokens.ts';

/** Judges a key by the state it is in and makes the principal of whoever came with it. */
export interface Admission {
  /** Throws unless this generation of the key may be used now, from `address`; `dead` makes the fault of a key that is not good. */
  admit(key: KeyRow | undefined, use: KeyUse, address: string, dead: () => Fault): asserts key is KeyRow;
  /** Throws `fault`, of which `findRefusedKey` tells the key. */
  refuse(key: KeyRow | undefined, fault: Fault): never;
  ofToken(key: KeyRow | undefined, claims: TokenClaims, address: string): Principal;
  ofKey(key: KeyRow | undefined, use: KnownUse, address: string): Principal;
  /** The key that exists and was refused with this fault. */
  findRefusedKey(fault: Fault): RefusedKey | undefined;
}

/** Which generation of which key. */
export interface KeyUse {
  readonly keyId: string;
  readonly generation: number;
}

/** `last`: the principal made of it, for as long as the key stands as it stood; a changed key is another object. */
export interface KnownUse extends KeyUse {
  last?: { readonly key: KeyRow; readonly principal: Principal } | undefined;
}

export interface RefusedKey {
  readonly keyId: string;
  readonly organizationId: string;
}

export function createAdmission({ clock, usage }: { clock: Clock; usage: KeyUsage }): Admission {
  const refused = new WeakMap<Fault, RefusedKey>();
  /** The principal made of these claims, as with `KnownUse`. */
  const principals = new WeakMap<TokenClaims, NonNullable<KnownUse['last']>>();

  function refuse(key: KeyRow | undefined, fault: Fault): never {
    if (key !== undefined) refused.set(fault, { keyId: key.id, organizationId: key.organizationId });
    throw fault;
  }

  function admit(key: KeyRow | undefined, use: KeyUse, address: string, dead: () => Fault): asserts key is KeyRow {
    if (!isGood(key, use.generation, clock.nowMs())) refuse(key, dead());
    if (!isAllowedAddress(key, address)) refuse(key, addressNotAllowed());
    usage.touch(key.id, use.generation, address);
  }

  return {
    admit,
    refuse,
    ofToken(key, claims, address) {
      admit(key, claims, address, deadToken);
      const before = principals.get(claims);
      if (before?.key === key) return before.principal;
      const principal = toPrincipal(key, claims.generation, claims.expiresAtMs);
      principals.set(claims, { key, principal });
      return principal;
    },
    ofKey(key, use, address) {
      admit(key, use, address, () => deadKey());
      if (use.last?.key === key) return use.last.principal;
      const principal = toPrincipal(key, use.generation, endsAtMs(key, use.generation));
      use.last = { key, principal };
      return principal;
    },
    findRefusedKey: (fault) => refused.get(fault),
  };
}

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

/** The product whose payloads the key sends; null on a customer key. */
export function productOf(key: KeyRow): string | null {
  return key.scopes.find((scope) => scope.startsWith(PRODUCT))?.slice(PRODUCT.length) ?? null;
}
