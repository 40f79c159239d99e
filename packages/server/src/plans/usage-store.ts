import type { UsageDay } from '@gladhand/contract/limits.ts';
import { type Kysely, sql } from 'kysely';
import { ofOrganization } from '../database/of-organization.ts';
import type { Schema } from '../database/schema.ts';

/** The SQL of daily use. A day is text, `2026-11-23`. */
type Connection = Kysely<Schema>;

export interface UsageRow extends Omit<UsageDay, 'keyId'> {
  readonly organizationId: string;
  readonly keyId: string;
}

/** Adds to what is there, in a fixed order of rows, so that two nodes never wait for each other. */
export async function addUsage(db: Connection, rows: readonly UsageRow[]): Promise<void> {
  const sorted = [...rows].sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
  await db
    .insertInto('usage_day')
    .values(
      sorted.map((row) => ({
        organization_id: row.organizationId,
        day: row.day,
        key_id: row.keyId,
        requests: row.requests,
        refused: row.refused,
        would_refuse: row.wouldRefuse,
        bytes: row.bytes,
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['organization_id', 'day', 'key_id']).doUpdateSet({
        requests: sql<number>`usage_day.requests + excluded.requests`,
        refused: sql<number>`usage_day.refused + excluded.refused`,
        would_refuse: sql<number>`usage_day.would_refuse + excluded.would_refuse`,
        bytes: sql<number>`usage_day.bytes + excluded.bytes`,
      }),
    )
    .execute();
}

const rank = ({ organizationId, day, keyId }: UsageRow) => `${organizationId} ${day} ${keyId}`;

export interface UsageQuery {
  readonly fromDay: string;
  /** The last day, itself included. */
  readonly toDay: string;
  /** Of this key only. */
  readonly keyId: string | null;
  /** Where the page before ended. */
  readonly after: { readonly day: string; readonly keyId: string } | null;
  readonly take: number;
}

/** By day, newest first, and key. */
export async function listUsage(db: Connection, organizationId: string, query: UsageQuery): Promise<UsageDay[]> {
  const { after, keyId } = query;
  const rows = await db
    .selectFrom('usage_day')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('day', '>=', sql<Date>`${query.fromDay}::date`)
    .where('day', '<=', sql<Date>`${query.toDay}::date`)
    .$if(keyId !== null, (rows) => rows.where('key_id', '=', keyId!))
    .$if(after !== null, (rows) =>
      rows.where(
        sql<boolean>`(day < ${after!.day}::date or (day = ${after!.day}::date and key_id > ${after!.keyId}::uuid))`,
      ),
    )
    .orderBy('day', 'desc')
    .orderBy('key_id')
    .limit(query.take)
    .execute();
  return rows.map((row) => ({
    keyId: row.key_id,
    day: row.day.toISOString().slice(0, 10),
    requests: row.requests,
    refused: row.refused,
    wouldRefuse: row.would_refuse,
    bytes: row.bytes,
  }));
}

export async function deleteUsageBefore(db: Connection, day: string): Promise<void> {
  await db.deleteFrom('usage_day').where('day', '<', sql<Date>`${day}::date`).execute();
}
