/** What the stores of several rooms do with rows. */

const PG_UNIQUE_VIOLATION = '23505';

/** For `catch`: undefined where a unique name is taken, which has ended the transaction. Any other error goes on. */
export function undefinedWhenTaken(error: unknown): undefined {
  if ((error as { code?: string }).code === PG_UNIQUE_VIOLATION) return undefined;
  throw error;
}

/** When a thing was made and last changed, as the contract writes it. */
export function toKept(row: { created_at: Date; updated_at: Date }): { createdAt: string; updatedAt: string } {
  return { createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() };
}
