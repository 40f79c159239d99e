import type { Kysely, Selectable } from 'kysely';
import type { Actor } from '../access/principal.ts';
import { ofOrganization } from '../database/of-organization.ts';
import type { AuditEventTable, Schema } from '../database/schema.ts';
import type { AuditEvent } from './chain.ts';

/** The SQL of the audit log. */
type Connection = Kysely<Schema>;

/** Locks the end of the organization's chain until the transaction ends; an organization without one starts it. */
export async function lockAuditHead(
  trx: Connection,
  organizationId: string,
  start: Buffer,
): Promise<{ sequence: number; hash: Buffer }> {
  await trx
    .insertInto('audit_head')
    .values({ organization_id: organizationId, sequence: 0, hash: start })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return trx
    .selectFrom('audit_head')
    .select(['sequence', 'hash'])
    .where('organization_id', '=', organizationId)
    .forUpdate()
    .executeTakeFirstOrThrow();
}

/** Writes `event` and makes `hash` the end of its chain, whose lock the caller holds. */
export async function appendAuditEvent(trx: Connection, event: AuditEvent, hash: Buffer): Promise<void> {
  await trx
    .insertInto('audit_event')
    .values({
      organization_id: event.organizationId,
      sequence: event.sequence,
      at: new Date(event.at),
      actor_kind: event.actor.kind,
      actor_id: event.actor.id,
      action: event.action,
      target_kind: event.target?.kind ?? null,
      target_id: event.target?.id ?? null,
      address: event.address,
      request_id: event.requestId,
      details: JSON.stringify(event.details),
      hash,
    })
    .execute();
  await trx
    .updateTable('audit_head')
    .set({ sequence: event.sequence, hash })
    .where('organization_id', '=', event.organizationId)
    .execute();
}

export interface StoredEvent {
  readonly event: AuditEvent;
  readonly hash: Buffer;
}

/** Newest first, below `beforeSequence`, of [from, to). */
export async function listAuditEvents(
  db: Connection,
  organizationId: string,
  filter: {
    fromMs: number | null;
    toMs: number | null;
    action: string | null;
    beforeSequence: number | null;
    take: number;
  },
): Promise<StoredEvent[]> {
  const rows = await db
    .selectFrom('audit_event')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .$if(filter.fromMs !== null, (query) => query.where('at', '>=', new Date(filter.fromMs ?? 0)))
    .$if(filter.toMs !== null, (query) => query.where('at', '<', new Date(filter.toMs ?? 0)))
    .$if(filter.action !== null, (query) => query.where('action', '=', filter.action))
    .$if(filter.beforeSequence !== null, (query) => query.where('sequence', '<', filter.beforeSequence))
    .orderBy('sequence', 'desc')
    .limit(filter.take)
    .execute();
  return rows.map(toStoredEvent);
}

/** The chain in its own order, from after `sequence`. */
export async function readChain(
  db: Connection,
  organizationId: string,
  sequence: number,
  take: number,
): Promise<StoredEvent[]> {
  const rows = await db
    .selectFrom('audit_event')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('sequence', '>', sequence)
    .orderBy('sequence')
    .limit(take)
    .execute();
  return rows.map(toStoredEvent);
}

export async function findAuditHead(
  db: Connection,
  organizationId: string,
): Promise<{ sequence: number; hash: Buffer } | undefined> {
  return db
    .selectFrom('audit_head')
    .select(['sequence', 'hash'])
    .where(ofOrganization('organization_id', organizationId))
    .executeTakeFirst();
}

function toStoredEvent(row: Selectable<AuditEventTable>): StoredEvent {
  return {
    event: {
      organizationId: row.organization_id,
      sequence: row.sequence,
      at: row.at.toISOString(),
      actor: { kind: row.actor_kind as Actor['kind'], id: row.actor_id },
      action: row.action,
      target:
        row.target_kind === null && row.target_id === null
          ? null
          : { kind: row.target_kind ?? '', id: row.target_id ?? '' },
      address: row.address,
      requestId: row.request_id,
      details: row.details as Record<string, unknown>,
    },
    hash: row.hash,
  };
}
