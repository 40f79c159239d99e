import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Actor, Origin } from '../access/principal.ts';
import type { Schema } from '../database/schema.ts';
import * as store from './store.ts';

/**
 * The audit log: who did what to what, when and from where, one chain of events per organization. Promise: an event
 * stands if and only if the change it tells of does, because both are written in one transaction; an event that is
 * altered, removed or slipped in later is found by `verifyChain`. Assumes the caller records last in its transaction:
 * the head's row lock is held until commit, and taking it last keeps two transactions from waiting for each other.
 * Fails by throwing, which takes the change with it.
 */
export interface NewAuditEvent extends Origin {
  /** Whose chain the event stands in: the organization that was acted on. */
  readonly organizationId: string;
  /** Noun and past participle, such as `api-key.created`. */
  readonly action: string;
  readonly target: { readonly kind: string; readonly id: string } | null;
  /** What changed, as plain JSON. Never a secret: a name or value that looks like one throws. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly at: Date;
}

/** The hash before the first event of a chain. */
export const CHAIN_START: Buffer = Buffer.alloc(32);

const ADDRESS_CHARS_MAX = 64;

/** Appends `event` to its organization's chain, in the caller's transaction. */
export async function recordAudit(trx: Kysely<Schema>, event: NewAuditEvent): Promise<void> {
  refuseSecrets(event.details, event.action);
  const head = await store.lockAuditHead(trx, event.organizationId, CHAIN_START);
  const written: AuditEvent = {
    organizationId: event.organizationId,
    sequence: head.sequence + 1,
    at: event.at.toISOString(),
    actor: { kind: event.actor.kind, id: event.actor.id },
    action: event.action,
    target: event.target && { kind: event.target.kind, id: event.target.id },
    address: event.address?.slice(0, ADDRESS_CHARS_MAX) ?? null,
    requestId: event.requestId,
    // As it will be read back: without undefined, with dates as text.
    details: JSON.parse(JSON.stringify(event.details)) as Record<string, unknown>,
  };
  await store.appendAuditEvent(trx, written, hashEvent(head.hash, written));
}

/** An event as it stands in the log. */
export interface AuditEvent {
  readonly organizationId: string;
  /** 1, 2, 3, ... within the organization, without gaps. */
  readonly sequence: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string;
  readonly actor: { readonly kind: Actor['kind']; readonly id: string | null };
  readonly action: string;
  readonly target: { readonly kind: string; readonly id: string } | null;
  readonly address: string | null;
  readonly requestId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** SHA-256 over the hash before and the event's canonical JSON. */
export function hashEvent(previous: Buffer, event: AuditEvent): Buffer {
  return createHash('sha256').update(previous).update(canonicalJson(event)).digest();
}

/** JSON with the members of every object in the order of their names (RFC 8785 for what JSON.stringify writes). */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
}

const SECRET_NAMES =
  /^(password|.*password|.*passwordHash|secret|.*Secret|token|.*Token|key|apiKey|plaintext|signingKey|digest|hash|authorization|cookie)$/i;
const SECRET_VALUES = /gladhand_(session_[\w-]{20}|[0-9A-Za-z]{12}_[0-9A-Za-z]{49})|\$argon2/;

/** A programming error, so it throws: what is chained cannot be taken out again. */
function refuseSecrets(value: unknown, action: string): void {
  if (typeof value === 'string' && SECRET_VALUES.test(value))
    throw new Error(`the audit details of ${action} hold a secret`);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (!Array.isArray(value) && SECRET_NAMES.test(name) && typeof member !== 'boolean') {
      throw new Error(`the audit details of ${action} have a member \`${name}\`, which names a secret`);
    }
    refuseSecrets(member, action);
  }
}
