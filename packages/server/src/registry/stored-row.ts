import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';

/** What the registry's stores have in common. Every read of what customers own is bound to an organization. */
export type Connection = Kysely<Schema>;

/** A row as it is registered: in service from now on. */
export type NewRow<Row> = Omit<Row, 'is_active' | 'is_active_since'>;

const PG_UNIQUE_VIOLATION = '23505';

export function undefinedWhenTaken(error: unknown): undefined {
  if ((error as { code?: string }).code === PG_UNIQUE_VIOLATION) return undefined;
  throw error;
}

/** Only what is not undefined is written. */
export function given<Values extends object>(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Values;
}

/** When it was registered and changed, as the contract has it. */
export function toStamps(row: { created_at: Date; updated_at: Date }): { createdAt: string; updatedAt: string } {
  return { createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() };
}
