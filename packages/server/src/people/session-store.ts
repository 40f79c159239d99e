import { type Kysely, sql } from 'kysely';
import type { Person } from '../access/principal.ts';
import type { Schema } from '../database/schema.ts';

/** The SQL of sessions. Look-ups go across organizations: the token is all there is. */
type Connection = Kysely<Schema>;

export interface StoredSession {
  readonly person: Person;
  readonly isActive: boolean;
  readonly lastUsedAtMs: number;
}

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
