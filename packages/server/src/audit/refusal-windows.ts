import type { Clock } from '@gladhand/base/clock.ts';
import type { Actor } from '../access/principal.ts';

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

/** The refusals of one caller for one reason at one route, counted from the first on for `REFUSAL_WINDOW_MS`. */
export interface RefusalWindow {
  /** The first one. */
  readonly refusal: Refusal;
  readonly startMs: number;
  /** Refusals that no event in the audit log counts yet. */
  unwritten: number;
  /** Whether an event was written for it. */
  isWritten: boolean;
}

/** The windows that are open. No caller makes more than `WINDOWS_PER_ORGANIZATION_MAX` of them, and one for the rest. */
export interface RefusalWindows {
  count(refusal: Refusal): void;
  /** Those that have something to be written; with `all`, also those that are still open and were written before. */
  listDue(all: boolean): RefusalWindow[];
  /** Forgets the windows that are over and written. */
  forgetOver(): void;
  readonly isEmpty: boolean;
}

export const REFUSAL_WINDOW_MS = 60_000;
export const WINDOWS_PER_ORGANIZATION_MAX = 100;

export function createRefusalWindows(clock: Clock): RefusalWindows {
  const windows = new Map<string, RefusalWindow>();
  const perOrganization = new Map<string | null, number>();
  const isOver = (window: RefusalWindow) => clock.nowMs() - window.startMs >= REFUSAL_WINDOW_MS;

  function windowOf(refusal: Refusal): RefusalWindow {
    const name = nameOf(refusal);
    const open = windows.get(name);
    if (open !== undefined) return open;
    const count = perOrganization.get(refusal.organizationId) ?? 0;
    if (count >= WINDOWS_PER_ORGANIZATION_MAX) return windowOfRest(refusal);
    perOrganization.set(refusal.organizationId, count + 1);
    return begin(name, refusal);
  }

  /** One window for all that is too much, by the organization alone. */
  function windowOfRest(refusal: Refusal): RefusalWindow {
    const name = `${refusal.organizationId} rest`;
    const actor = { kind: 'anonymous', id: null } as const;
    return windows.get(name) ?? begin(name, { ...refusal, actor, target: null, code: 'various', route: 'various' });
  }

  function begin(name: string, refusal: Refusal): RefusalWindow {
    const window = { refusal, startMs: clock.nowMs(), unwritten: 0, isWritten: false };
    windows.set(name, window);
    return window;
  }

  function forget(name: string, organizationId: string | null): void {
    windows.delete(name);
    if (name.endsWith(' rest')) return;
    perOrganization.set(organizationId, (perOrganization.get(organizationId) ?? 1) - 1);
  }

  return {
    count(refusal) {
      windowOf(refusal).unwritten += 1;
    },
    listDue: (all) =>
      [...windows.values()].filter((window) => window.unwritten > 0 && (all || !window.isWritten || isOver(window))),
    forgetOver() {
      for (const [name, window] of windows)
        if (isOver(window) && window.unwritten === 0) forget(name, window.refusal.organizationId);
    },
    get isEmpty() {
      return windows.size === 0;
    },
  };
}

function nameOf({ organizationId, actor, address, target, code, route }: Refusal): string {
  return `${organizationId} ${actor.id ?? address} ${target?.id} ${code} ${route}`;
}
