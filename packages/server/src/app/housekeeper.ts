import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Partitions } from '../database/partitions.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';

/**
 * Deletes expired data once an hour: whole partitions of envelopes, receipts and records, and what each room forgets.
 * Dropping a partition costs the same whatever it holds. A failure is logged and tried again in an hour.
 */
const ROUND_MS = 60 * 60 * 1000;
const DAY_MS = 24 * ROUND_MS;

export interface HousekeeperParts {
  readonly intakeLog: IntakeLog;
  /** What rooms forget by themselves; each is given the time. */
  readonly forget: ReadonlyArray<(nowMs: number) => Promise<void>>;
  readonly partitions: Partitions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly envelopeRetentionDays: number;
  readonly recordRetentionDays: number;
}

export function openHousekeeper(parts: HousekeeperParts): { close(): Promise<void> } {
  let isClosed = false;
  let cancel = () => {};
  let round = Promise.resolve();
  const start = () => {
    round = keepHouse(parts)
      .catch((error: unknown) => parts.log.warn({ err: error }, 'housekeeping will be tried again'))
      .then(() => {
        if (!isClosed) cancel = parts.clock.after(ROUND_MS, start);
      });
  };
  start();
  return {
    close() {
      isClosed = true;
      cancel();
      return round;
    },
  };
}

/** One round. */
export async function keepHouse(parts: HousekeeperParts): Promise<void> {
  const { partitions, log } = parts;
  const nowMs = parts.clock.nowMs();
  const envelopesBeforeMs = nowMs - parts.envelopeRetentionDays * DAY_MS;
  const dropped = [
    ...(await partitions.dropBefore('receipt', envelopesBeforeMs)),
    ...(await partitions.dropBefore('envelope', envelopesBeforeMs)),
    ...(await partitions.dropBefore('record', nowMs - parts.recordRetentionDays * DAY_MS)),
  ];
  await parts.intakeLog.forgetIdempotency(nowMs);
  for (const forget of parts.forget) await forget(nowMs);
  if (dropped.length > 0) log.info({ dropped }, 'partitions past their retention were dropped');
}
