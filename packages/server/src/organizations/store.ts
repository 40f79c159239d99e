import type { Organization, User } from '@gladhand/contract/organizations.ts';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { Actor, Person, Role } from '../access/principal.ts';
import { ofOrganization } from '../database/first-wall.ts';
import type { AuditEventTable, OrganizationTable, PersonTable, Schema } from '../database/schema.ts';
import type { AuditEvent } from './audit.ts';

/** The only SQL of organizations, people, sessions and the audit log. */
type Connection = Kysely<Schema>;

/** At most `take` rows with an id above `afterId`, in the order of their ids, which is that of their creation. */
export interface Slice {
  readonly afterId: string | null;
  readonly take: number;
}

const PG_UNIQUE_VIOLATION = '23505';

function undefinedWhenTaken(error: unknown): undefined {
  if ((error as { code?: string }).code === PG_UNIQUE_VIOLATION) return undefined;
  throw error;
}

/** `text` as an id when it is written like one: whatever else cannot be compared with a uuid column. */
function idOrSlug(text: string, isId: boolean) {
  return isId ? sql<boolean>`id = ${text}::uuid` : sql<boolean>`slug = ${text}`;
}

export async function insertOrganization(
  executor: Connection,
  organization: { id: string; slug: string; name: string; kind: 'operator' | 'customer'; at: Date },
): Promise<void> {
  const { at, ...values } = organization;
  await executor
    .insertInto('organization')
    .values({ ...values, created_at: at, updated_at: at })
    .execute();
}

export async function insertPerson(
  executor: Connection,
  person: {
    id: string;
    organizationId: string;
    email: string;
    name: string;
    role: 'ADMIN' | 'OPERATOR' | 'VIEWER';
    passwordHash: string | null;
    at: Date;
  },
): Promise<void> {
  await executor
    .insertInto('person')
    .values({
      id: person.id,
      organization_id: person.organizationId,
      email: person.email,
      name: person.name,
      role: person.role,
      password_hash: person.passwordHash,
      created_at: person.at,
      updated_at: person.at,
    })
    .execute();
}

export async function hasOrganizations(executor: Connection): Promise<boolean> {
  return (await executor.selectFrom('organization').select('id').limit(1).executeTakeFirst()) !== undefined;
}

// Reading organizations -------------------------------------------------------------------------------------------------

/** `isId`: whether `name` is the id; else it is the slug. */
export async function findOrganization(db: Connection, name: string, isId: boolean): Promise<Organization | undefined> {
  const row = await db.selectFrom('organization').selectAll().where(idOrSlug(name, isId)).executeTakeFirst();
  return row && toOrganization(row);
}

export async function listOrganizations(db: Connection, slice: Slice): Promise<Organization[]> {
  const rows = await db
    .selectFrom('organization')
    .selectAll()
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toOrganization);
}

/** The organization that runs the installation; the first, should there be several. */
export async function findOperator(db: Connection): Promise<Organization | undefined> {
  const row = await db
    .selectFrom('organization')
    .selectAll()
    .where('kind', '=', 'operator')
    .orderBy('id')
    .executeTakeFirst();
  return row && toOrganization(row);
}

/** False when its slug is taken, which ends the transaction. */
export async function addOrganization(
  db: Connection,
  organization: Parameters<typeof insertOrganization>[1],
): Promise<boolean> {
  return (await insertOrganization(db, organization).then(() => true, undefinedWhenTaken)) ?? false;
}

export async function renameOrganization(db: Connection, id: string, name: string, at: Date): Promise<Organization> {
  const row = await db
    .updateTable('organization')
    .set({ name, updated_at: at })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return toOrganization(row);
}

/** Whoever changes who may do what waits here, so that two admins cannot remove each other at once. */
export async function lockOrganization(db: Connection, id: string): Promise<void> {
  await db.selectFrom('organization').select('id').where('id', '=', id).forNoKeyUpdate().execute();
}

// People ----------------------------------------------------------------------------------------------------------------

export async function listUsers(db: Connection, organizationId: string, slice: Slice): Promise<User[]> {
  const rows = await db
    .selectFrom('person')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toUser);
}

export async function findUser(db: Connection, organizationId: string, id: string): Promise<User | undefined> {
  const row = await db
    .selectFrom('person')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .executeTakeFirst();
  return row && toUser(row);
}

/** False when somebody has the email address, which ends the transaction. */
export async function addPerson(db: Connection, person: Parameters<typeof insertPerson>[1]): Promise<boolean> {
  return (await insertPerson(db, person).then(() => true, undefinedWhenTaken)) ?? false;
}

export interface PersonChange {
  readonly email?: string | undefined;
  readonly name?: string | undefined;
  readonly role?: Role | undefined;
  readonly isActive?: boolean | undefined;
  readonly passwordHash?: string | undefined;
}

/** The person as changed, or undefined when the new email address is taken, which ends the transaction. */
export async function updatePerson(
  db: Connection,
  organizationId: string,
  id: string,
  change: PersonChange,
  at: Date,
): Promise<User | undefined> {
  const row = await db
    .updateTable('person')
    .set({
      ...(change.email !== undefined && { email: change.email }),
      ...(change.name !== undefined && { name: change.name }),
      ...(change.role !== undefined && { role: change.role }),
      ...(change.isActive !== undefined && { is_active: change.isActive }),
      ...(change.passwordHash !== undefined && { password_hash: change.passwordHash }),
      updated_at: at,
    })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(undefinedWhenTaken);
  return row && toUser(row);
}

export async function countAdmins(db: Connection, organizationId: string): Promise<number> {
  const row = await db
    .selectFrom('person')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where(ofOrganization('organization_id', organizationId))
    .where('role', '=', 'ADMIN')
    .where('is_active', '=', true)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

export interface Account {
  readonly personId: string;
  readonly organizationId: string;
  readonly passwordHash: string | null;
  readonly isActive: boolean;
}

/** Across organizations: an email address names one person in the whole installation. */
export async function findAccount(db: Connection, email: string): Promise<Account | undefined> {
  const row = await db
    .selectFrom('person')
    .select(['id', 'organization_id', 'password_hash', 'is_active'])
    .where(sql<boolean>`lower(email) = lower(${email})`)
    .executeTakeFirst();
  return (
    row && {
      personId: row.id,
      organizationId: row.organization_id,
      passwordHash: row.password_hash,
      isActive: row.is_active,
    }
  );
}

/** The account as it stands, kept from changing until the transaction ends. */
export async function lockAccount(db: Connection, personId: string): Promise<Account | undefined> {
  const row = await db
    .selectFrom('person')
    .select(['id', 'organization_id', 'password_hash', 'is_active'])
    .where('id', '=', personId)
    .forUpdate()
    .executeTakeFirst();
  return (
    row && {
      personId: row.id,
      organizationId: row.organization_id,
      passwordHash: row.password_hash,
      isActive: row.is_active,
    }
  );
}

// Sessions --------------------------------------------------------------------------------------------------------------

export interface StoredSession {
  readonly person: Person;
  readonly isActive: boolean;
  readonly lastUsedAtMs: number;
}

/** Across organizations: the token is all there is. */
export async function findSession(db: Connection, digest: Buffer): Promise<StoredSession | undefined> {
  const row = await db
    .selectFrom('session as s')
    .innerJoin('person as p', 'p.id', 's.person_id')
    .innerJoin('organization as o', 'o.id', 'p.organization_id')
    .select([
      'p.id',
      'p.organization_id',
      'p.role',
      'p.email',
      'p.name',
      'p.is_active',
      'o.kind',
      's.expires_at',
      's.last_used_at',
    ])
    .where('s.digest', '=', digest)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    person: {
      personId: row.id,
      organizationId: row.organization_id,
      organizationKind: row.kind,
      role: row.role,
      email: row.email,
      name: row.name,
      sessionId: digest.toString('hex'),
      sessionExpiresAtMs: row.expires_at.getTime(),
    },
    isActive: row.is_active,
    lastUsedAtMs: row.last_used_at.getTime(),
  };
}

export interface NewSession {
  readonly digest: Buffer;
  readonly organizationId: string;
  readonly personId: string;
  readonly at: Date;
  readonly expiresAt: Date;
  readonly address: string;
  readonly userAgent: string | null;
}

/** Also ends the person's oldest sessions beyond `sessionsMax`. */
export async function insertSession(db: Connection, session: NewSession, sessionsMax: number): Promise<void> {
  await sql`delete from session where digest in (
    select digest from session where person_id = ${session.personId} order by created_at desc, digest offset ${sessionsMax - 1})`.execute(
    db,
  );
  await db
    .insertInto('session')
    .values({
      digest: session.digest,
      organization_id: session.organizationId,
      person_id: session.personId,
      created_at: session.at,
      expires_at: session.expiresAt,
      last_used_at: session.at,
      address: session.address,
      user_agent: session.userAgent,
    })
    .execute();
}

export async function touchSession(db: Connection, digest: Buffer, at: Date): Promise<void> {
  await db.updateTable('session').set({ last_used_at: at }).where('digest', '=', digest).execute();
}

/** Whether there was one. */
export async function deleteSession(db: Connection, digest: Buffer): Promise<boolean> {
  const result = await db.deleteFrom('session').where('digest', '=', digest).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Every session of the person but `keep`. */
export async function deleteSessionsOf(db: Connection, personId: string, keep: Buffer | null): Promise<void> {
  await db
    .deleteFrom('session')
    .where('person_id', '=', personId)
    .$if(keep !== null, (query) => query.where('digest', '<>', keep))
    .execute();
}

export async function deleteSessionsBefore(db: Connection, expiredBefore: Date, usedBefore: Date): Promise<void> {
  await db
    .deleteFrom('session')
    .where((where) => where.or([where('expires_at', '<=', expiredBefore), where('last_used_at', '<=', usedBefore)]))
    .execute();
}

/** See `access_epoch` in the schema: raised by every change that a node must know of before it admits the next request. */
export async function readEpoch(db: Connection): Promise<number> {
  return (await db.selectFrom('access_epoch').select('value').executeTakeFirstOrThrow()).value;
}

// Audit log -------------------------------------------------------------------------------------------------------------

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

// Rows as the contract names them ---------------------------------------------------------------------------------------

function toOrganization(row: Selectable<OrganizationTable>): Organization {
  return { id: row.id, slug: row.slug, name: row.name, kind: row.kind, ...toKept(row) };
}

function toUser(row: Selectable<PersonTable>): User {
  return {
    id: row.id,
    organizationId: row.organization_id,
    email: row.email,
    name: row.name,
    role: row.role,
    isActive: row.is_active,
    hasPassword: row.password_hash !== null,
    ...toKept(row),
  };
}

function toKept(row: { created_at: Date; updated_at: Date }): { createdAt: string; updatedAt: string } {
  return { createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() };
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
