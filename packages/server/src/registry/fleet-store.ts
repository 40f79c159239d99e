import type { Walk } from '@gladhand/base/page.ts';
import type { Fleet } from '@gladhand/contract/registry.ts';
import type { Selectable } from 'kysely';
import { ofOrganization } from '../database/of-organization.ts';
import type { FleetTable } from '../database/schema.ts';
import { type Connection, given, type NewRow, toStamps } from './stored-row.ts';

export async function selectFleets(db: Connection, organizationId: string, ids: readonly string[]): Promise<Fleet[]> {
  const rows = await db
    .selectFrom('fleet')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .where('id', 'in', ids)
    .execute();
  return rows.map(toFleet);
}

export async function listFleets(db: Connection, organizationId: string, slice: Walk): Promise<Fleet[]> {
  const rows = await db
    .selectFrom('fleet')
    .selectAll()
    .where(ofOrganization('organization_id', organizationId))
    .$if(slice.afterId !== null, (query) => query.where('id', '>', slice.afterId))
    .orderBy('id')
    .limit(slice.take)
    .execute();
  return rows.map(toFleet);
}

export async function insertFleet(db: Connection, fleet: NewRow<Selectable<FleetTable>>): Promise<Fleet> {
  const row = await db.insertInto('fleet').values(fleet).returningAll().executeTakeFirstOrThrow();
  return toFleet(row);
}

export interface FleetSet {
  readonly name?: string | undefined;
  readonly is_active?: boolean | undefined;
}

export async function updateFleet(
  db: Connection,
  organizationId: string,
  id: string,
  set: FleetSet,
  at: Date,
): Promise<Fleet | undefined> {
  const row = await db
    .updateTable('fleet')
    .set({ ...(given(set) as object), updated_at: at })
    .where(ofOrganization('organization_id', organizationId))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  return row && toFleet(row);
}

function toFleet(row: Selectable<FleetTable>): Fleet {
  return { id: row.id, name: row.name, isActive: row.is_active, ...toStamps(row) };
}
