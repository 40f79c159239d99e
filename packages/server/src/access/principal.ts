/**
 * Who is calling and what they may see. Every room takes a `Principal` as an argument, so that the organization a
 * query is bound to is visible in its signature and never a global.
 */
export type Audience = 'partner' | 'customer';

export const SCOPES = [
  'telemetry:write',
  'fleets:read',
  'trailers:read',
  'devices:read',
  'deliversafe:read',
  'telemetry:read',
  'plants:read',
  'livefeed:connect',
  'amqp:connect',
] as const;

/** A named right, or `product:<name>`: the product whose mapping a partner key's payloads are read with. */
export type Scope = (typeof SCOPES)[number] | `product:${string}`;

export interface Principal {
  readonly keyId: string;
  /** What the generation of the key that was used is called in the open; tries to trade it are counted under this. */
  readonly publicId: string;
  readonly organizationId: string;
  /** An operator's partner key may send for every organization's assets, a customer's only for its own. */
  readonly organizationKind: 'operator' | 'customer';
  readonly audience: Audience;
  readonly partnerId: string;
  readonly scopes: ReadonlySet<string>;
  /** The product of a partner key; null on a customer key. */
  readonly product: string | null;
  /** Its intake has to be signed. */
  readonly requireSignature?: boolean;
  /** The generations whose signing keys are good, each until `endsAtMs` (milliseconds since the epoch, or Infinity). */
  readonly signingGenerations?: readonly { readonly generation: number; readonly endsAtMs: number }[];
  /** The plants this key is restricted to; null: every plant of its organization. */
  readonly plantIds: ReadonlySet<string> | null;
  readonly generation: number;
  /** Set when the caller came with the generation before the current one, whose days are numbered. */
  readonly overlap?: KeyOverlap | null;
  /** When the token itself ends, milliseconds since the epoch. */
  readonly tokenExpiresAtMs: number;
}

/** The time in which a rotated key's old generation is good beside the new one, milliseconds since the epoch. */
export interface KeyOverlap {
  readonly supersededAtMs: number;
  readonly endsAtMs: number;
}

/** What a person may do in their organization; each role includes the ones before it. */
export const ROLES = ['VIEWER', 'OPERATOR', 'ADMIN'] as const;
export type Role = (typeof ROLES)[number];

/** A signed-in person. An ADMIN of an operator's organization is the platform operator: above every organization. */
export interface Person {
  readonly personId: string;
  readonly organizationId: string;
  readonly organizationKind: 'operator' | 'customer';
  readonly role: Role;
  readonly email: string;
  readonly name: string;
  /** Hex of the session's digest; names the session, signs nobody in. */
  readonly sessionId: string;
  readonly sessionExpiresAtMs: number;
}

export function hasRole(person: Person, role: Role): boolean {
  return ROLES.indexOf(person.role) >= ROLES.indexOf(role);
}

export function isPlatformOperator(person: Person): boolean {
  return person.organizationKind === 'operator' && person.role === 'ADMIN';
}

/** Who does something, from where and with which request: what the audit log keeps of every act. */
export interface Origin {
  readonly actor: Actor;
  /** The client's address; null for what the server or its command line does. */
  readonly address: string | null;
  /** UUID of the request; null when there is none. */
  readonly requestId: string | null;
}

/** `anonymous`: nobody was recognized. `system`: the server itself or its command line. */
export type Actor =
  | { readonly kind: 'person' | 'key'; readonly id: string }
  | { readonly kind: 'system' | 'anonymous'; readonly id: null };

export const SYSTEM_ORIGIN: Origin = { actor: { kind: 'system', id: null }, address: null, requestId: null };
