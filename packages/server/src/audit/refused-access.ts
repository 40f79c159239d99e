import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Actor } from '../access/principal.ts';
import type { Database } from '../database/database.ts';
import { recordAudit } from './chain.ts';

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

export interface Refusal {
  /** The caller's organization; null: nobody was recognized. */
  readonly organizationId: string | null;
  readonly actor: Actor;
  /** Whom an unrecognized caller claimed to be. */
  readonly target: { readonly kind: string; readonly id: string } | null;
  /** The code of the fault. */
  readonly code: string;
  /** Method and route pattern, such as `GET /api/v1/fleets/:fleet`. */
  readonly route: string;
  readonly address: string;
  readonly requestId: string;
}

export interface RefusalsParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whoever runs the installation; undefined before there is anybody. */
  readonly findOperatorId: () => Promise<string | undefined>;
}

interface Window {
  readonly refusal: Refusal;
  readonly startMs: number;
  unwritten: number;
  isWritten: boolean;
}

export const REFUSAL_WINDOW_MS = 60_000;
export const WINDOWS_PER_ORGANIZATION_MAX = 100;
const FLUSH_MS = 1_000;

export function openRefusals(parts: RefusalsParts): Refusals {
  const { database, clock, log } = parts;
  const windows = new Map<string, Window>();
  const perOrganization = new Map<string | null, number>();
  let isClosed = false;
  let cancel: (() => void) | undefined;
  let flushing: Promise<void> = Promise.resolve();

  function windowOf(refusal: Refusal): Window {
    const caller = refusal.actor.id ?? refusal.address;
    const name = `${refusal.organizationId} ${caller} ${refusal.target?.id} ${refusal.code} ${refusal.route}`;
    const open = windows.get(name);
    if (open !== undefined) return open;
    const count = perOrganization.get(refusal.organizationId) ?? 0;
    if (count < WINDOWS_PER_ORGANIZATION_MAX) {
      perOrganization.set(refusal.organizationId, count + 1);
      return begin(name, refusal);
    }
    // One window for all that is too much, by the organization alone.
    const rest = `${refusal.organizationId} rest`;
    return (
      windows.get(rest) ??
      begin(rest, {
        ...refusal,
        actor: { kind: 'anonymous', id: null },
        target: null,
        code: 'various',
        route: 'various',
      })
    );
  }

  function begin(name: string, refusal: Refusal): Window {
    const window = { refusal, startMs: clock.nowMs(), unwritten: 0, isWritten: false };
    windows.set(name, window);
    return window;
  }

  async function write(all: boolean): Promise<void> {
    const nowMs = clock.nowMs();
    const isOver = (window: Window) => nowMs - window.startMs >= REFUSAL_WINDOW_MS;
    const due = [...windows.values()].filter(
      (window) => window.unwritten > 0 && (all || !window.isWritten || isOver(window)),
    );
    const operatorId = due.some(({ refusal }) => refusal.organizationId === null)
      ? await parts.findOperatorId()
      : undefined;
    for (const window of due) {
      const organizationId = window.refusal.organizationId ?? operatorId;
      const { unwritten: count } = window;
      // An installation without organizations has no chain yet.
      if (organizationId !== undefined) await writeOne(organizationId, window.refusal, count, nowMs);
      window.unwritten -= count;
      window.isWritten = true;
    }
    for (const [name, window] of windows) {
      if (!isOver(window) || window.unwritten > 0) continue;
      windows.delete(name);
      if (!name.endsWith(' rest'))
        perOrganization.set(
          window.refusal.organizationId,
          (perOrganization.get(window.refusal.organizationId) ?? 1) - 1,
        );
    }
  }

  function writeOne(organizationId: string, refusal: Refusal, count: number, nowMs: number): Promise<void> {
    const { actor, address, requestId, target, code, route } = refusal;
    return database.within(organizationId, (trx) =>
      recordAudit(trx, {
        organizationId,
        actor,
        address,
        requestId,
        action: 'access.refused',
        target,
        details: { code, route, count },
        at: new Date(nowMs),
      }),
    );
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
          if (windows.size > 0) schedule();
        });
    });
  }

  return {
    note(refusal) {
      windowOf(refusal).unwritten += 1;
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
