import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from '../database/database.ts';
import { readDatabaseMs } from '../database/database-clock.ts';
import { openLease } from '../database/lease.ts';
import type { Partitions } from '../database/partitions.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';

/**
 * Deletes expired data once an hour, on one node: whole partitions of envelopes, receipts and records, and what each
 * room forgets. Detaching a partition costs the same whatever it holds; it is dropped a day later. Goes by the
 * database's clock, which has stamped nothing but is one for all nodes, and deletes nothing while this node's clock
 * says something else: one of the two is wrong, and what is deleted does not come back. A day that the intake log still
 * refers to is kept. A failure is logged and tried again in an hour.
 */
const ROUND_MS = 60 * 60 * 1000;
const DAY_MS = 24 * ROUND_MS;
export const CLOCK_DIFFERENCE_MS_MAX = 5 * 60 * 1000;

export interface HouseParts {
  readonly intakeLog: IntakeLog;
  /** What rooms forget by themselves; each is given the time. */
  readonly forget: ReadonlyArray<(nowMs: number) => Promise<void>>;
  readonly partitions: Partitions;
  readonly clock: Clock;
  /** The database's clock. */
  readonly readDatabaseMs: () => Promise<number>;
  readonly log: Logger;
  readonly envelopeRetentionDays: number;
  readonly recordRetentionDays: number;
}

export type HousekeeperParts = Omit<HouseParts, 'readDatabaseMs'> & { readonly database: Database; readonly ids: Ids };

export function openHousekeeper(parts: HousekeeperParts): { close(): Promise<void> } {
  const { database, clock, ids, log } = parts;
  const house = { ...parts, readDatabaseMs: () => readDatabaseMs(database) };
  let isClosed = false;
  let cancel = () => {};
  let round = Promise.resolve();
  const start = () => {
    round = round
      .then(() => (lease.isHeld ? keepHouse(house) : undefined))
      .catch((error: unknown) => log.warn({ err: error }, 'housekeeping will be tried again'))
      .then(() => {
        cancel();
        if (!isClosed) cancel = clock.after(ROUND_MS, start);
      });
  };
  const lease = openLease({ database, clock, ids, log, name: 'housekeeper', onHeld: start });
  return {
    async close() {
      isClosed = true;
      cancel();
      await round;
      await lease.close();
    },
  };
}

/** One round. */
export async function keepHouse(parts: HouseParts): Promise<void> {
  const { intakeLog, partitions, log } = parts;
  const nowMs = await parts.readDatabaseMs();
  const differenceMs = parts.clock.nowMs() - nowMs;
  if (Math.abs(differenceMs) > CLOCK_DIFFERENCE_MS_MAX) {
    log.error({ differenceMs }, 'nothing is deleted: the clocks of this node and of the database differ');
    return;
  }
  await intakeLog.forgetIdempotency(nowMs);
  for (const forget of parts.forget) await forget(nowMs);
  const oldestMs = (await intakeLog.oldestReceivedAtMs()) ?? Number.POSITIVE_INFINITY;
  const envelopesBeforeMs = Math.min(nowMs - parts.envelopeRetentionDays * DAY_MS, oldestMs);
  const retired = [
    ...(await partitions.retireBefore('receipt', envelopesBeforeMs)),
    ...(await partitions.retireBefore('envelope', envelopesBeforeMs)),
    ...(await partitions.retireBefore('record', nowMs - parts.recordRetentionDays * DAY_MS)),
  ];
  const dropped = await partitions.dropRetired();
  if (retired.length > 0)
    log.info({ retired }, 'partitions past their retention were detached, to be dropped in a day');
  if (dropped.length > 0) log.info({ dropped }, 'partitions detached a day ago were dropped');
}
