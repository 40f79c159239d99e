import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Kysely } from 'kysely';
import { isPlatformOperator, type Origin, type Person } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';

/** What a change of limits comes to, and how it stands in the audit log. */
export interface Recorded<Result> {
  readonly result: Result;
  readonly action: string;
  readonly target: { readonly kind: string; readonly id: string };
  readonly details: object;
}

/** Does `work` and writes it into the log of the operator's organization, both or neither; then everybody is told. */
export type RecordChange = <Result>(
  person: Person,
  origin: Origin,
  work: (trx: Kysely<Schema>, at: Date) => Promise<Recorded<Result>>,
) => Promise<Result>;

export interface RecordChangeParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Called after a commit; resolves when this node knows. */
  readonly onChanged: () => Promise<void>;
}

/** Throws `forbidden` for all but platform operators, before anything is done. */
export function createRecordChange({ database, clock, onChanged }: RecordChangeParts): RecordChange {
  return async (person, origin, work) => {
    refuseOthers(person);
    const { organizationId } = person;
    const at = new Date(clock.nowMs());
    const made = await database.system.transaction().execute(async (trx) => {
      const { result, action, target, details } = await work(trx, at);
      await recordAudit(trx, { ...origin, organizationId, action, target, details: { ...details }, at });
      return result;
    });
    await onChanged();
    return made;
  };
}

export function refuseOthers(person: Person): void {
  if (!isPlatformOperator(person))
    throw new Fault('forbidden', 'Only an admin of the operator can see and set limits.');
}
