import type { Networks } from '@gladhand/base/network.ts';
import type { Audience, KeyOverlap } from './principal.ts';

/** What the wall has to know of a key, whatever generation of it was used. */
export interface KeyRow {
  readonly id: string;
  readonly organizationId: string;
  readonly organizationKind: 'operator' | 'customer';
  readonly audience: Audience;
  readonly partnerId: string;
  readonly scopes: readonly string[];
  readonly plantIds: readonly string[] | null;
  /** Where the key may be used from; null: anywhere. */
  readonly networks: Networks | null;
  readonly requireSignature: boolean;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  /** The current one; it has no end of its own. */
  readonly generation: number;
  /** What the current generation is called in the open. */
  readonly publicId: string;
  /** The generation before, until its overlap ends. Every older one is dead. */
  readonly previous: {
    readonly generation: number;
    readonly publicId: string;
    readonly supersededAt: Date;
    readonly endsAt: Date;
  } | null;
}

/**
 * When this generation of the key ends, milliseconds since the epoch: its overlap's end or the key's expiry, whichever
 * is first; Infinity: no end in sight; -Infinity: it is dead already.
 */
export function endsAtMs(key: KeyRow | undefined, generation: number): number {
  if (key === undefined || key.revokedAt !== null) return Number.NEGATIVE_INFINITY;
  const expiresAtMs = key.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
  if (generation === key.generation) return expiresAtMs;
  if (generation !== key.previous?.generation) return Number.NEGATIVE_INFINITY;
  return Math.min(expiresAtMs, key.previous.endsAt.getTime());
}

export function publicIdOf(key: KeyRow, generation: number): string {
  return generation === key.previous?.generation ? key.previous.publicId : key.publicId;
}

export function isGood(key: KeyRow | undefined, generation: number, nowMs: number): key is KeyRow {
  return endsAtMs(key, generation) > nowMs;
}

/** Whether the key may be used from `address`; what is not an address is nowhere. */
export function isAllowedAddress(key: KeyRow, address: string): boolean {
  return key.networks === null || key.networks.has(address);
}

/** Set while `generation` is the one before the current and still good. */
export function overlapOf(key: KeyRow, generation: number): KeyOverlap | null {
  if (generation === key.generation || key.previous === null) return null;
  return { supersededAtMs: key.previous.supersededAt.getTime(), endsAtMs: endsAtMs(key, generation) };
}

/** Current first. */
export function signingGenerationsOf(key: KeyRow): { generation: number; endsAtMs: number }[] {
  const generations = key.previous === null ? [key.generation] : [key.generation, key.previous.generation];
  return generations.map((generation) => ({ generation, endsAtMs: endsAtMs(key, generation) }));
}
