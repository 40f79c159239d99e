import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from '../database/database.ts';
import { recordAudit } from './chain.ts';
import { createRefusalWindows, type Refusal } from './refusal-windows.ts';

/**
 * Refused access in the audit log. Promise: the first refusal of a caller for one reason at one route is written
 * within a second or so, further ones of the same minute as one event with their number, and no caller can make more
 * than `WINDOWS_PER_ORGANIZATION_MAX` events a minute in an organization's chain: what is beyond is counted in one.
 * Whoever was not recognized stands in the operator's chain. Assumes losing the count of the last minute in a crash is
 * fine. Fails softly: while the database is away the counts are kept, bounded by the same limit.
 */
export interface Refusals {
  note(refusal: Refusal): void;
  /** Writes what is due now; with `all`, the counts of windows that are still open too. */
  flush(all?: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface RefusalsParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whoever runs the installation; undefined before there is anybody. */
  readonly findOperatorId: () => Promise<string | undefined>;
}

const FLUSH_MS = 1_000;

export function openRefusals(parts: RefusalsParts): Refusals {
  const { database, clock, log } = parts;
  const windows = createRefusalWindows(clock);
  let isClosed = false;
  let cancel: (() => void) | undefined;
  let flushing: Promise<void> = Promise.resolve();

  async function write(all: boolean): Promise<void> {
    const at = new Date(clock.nowMs());
    const due = windows.listDue(all);
    const isUnrecognized = due.some(({ refusal }) => refusal.organizationId === null);
    const operatorId = isUnrecognized ? await parts.findOperatorId() : undefined;
    for (const window of due) {
      const organizationId = window.refusal.organizationId ?? operatorId;
      const { unwritten: count } = window;
      // An installation without organizations has no chain yet.
      if (organizationId !== undefined) await recordRefused(database, { ...window.refusal, organizationId }, count, at);
      window.unwritten -= count;
      window.isWritten = true;
    }
    windows.forgetOver();
  }

  /** One at a time, or two would write the same count. */
  function flush(all = false): Promise<void> {
    flushing = flushing.catch(() => {}).then(() => write(all));
    return flushing;
  }

  function schedule(): void {
    if (isClosed || cancel !== undefined) return;
    cancel = clock.after(FLUSH_MS, () => {
      flush()
        .catch((error: unknown) => log.warn({ err: error }, 'refused access could not be written to the audit log yet'))
        .finally(() => {
          cancel = undefined;
          if (!windows.isEmpty) schedule();
        });
    });
  }

  return {
    note(refusal) {
      windows.count(refusal);
      schedule();
    },
    flush,
    async close() {
      isClosed = true;
      cancel?.();
      await flush(true).catch((error: unknown) =>
        log.warn({ err: error }, 'the last refused accesses are missing from the audit log'),
      );
    },
  };
}

function recordRefused(
  database: Database,
  refusal: Refusal & { readonly organizationId: string },
  count: number,
  at: Date,
): Promise<void> {
  const { organizationId, actor, address, requestId, target, code, route } = refusal;
  const who = { organizationId, actor, address, requestId };
  return database.within(organizationId, (trx) =>
    recordAudit(trx, { ...who, action: 'access.refused', target, details: { code, route, count }, at }),
  );
}
