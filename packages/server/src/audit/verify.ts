import { cutPage } from '@gladhand/base/page.ts';
import type { Database } from '../database/database.ts';
import { type AuditEvent, CHAIN_START, hashEvent } from './chain.ts';
import * as store from './store.ts';

/** Reading the audit log, and finding out whether anybody has been at it. */
export interface AuditFilter {
  /** [from, to), milliseconds since the epoch; null: no bound. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly action: string | null;
  readonly beforeSequence: number | null;
  readonly take: number;
}

/** Newest first; `before` is where the next page starts, null when there is none. */
export async function listAudit(
  database: Database,
  organizationId: string,
  filter: AuditFilter,
): Promise<{ items: readonly store.StoredEvent[]; before: number | null }> {
  const items = await database.within(
    organizationId,
    (db) => store.listAuditEvents(db, organizationId, { ...filter, take: filter.take + 1 }),
    'read',
  );
  const { rows, last } = cutPage(items, filter.take);
  return { items: rows, before: last?.event.sequence ?? null };
}

export interface ChainReport {
  readonly organizationId: string;
  /** Events found. */
  readonly events: number;
  /** Hex of the last hash; kept elsewhere, it proves later that nothing was cut off or written anew. */
  readonly head: string;
  readonly broken: { readonly sequence: number; readonly why: string } | null;
}

const STEP_EVENTS = 1_000;

/** Walks the organization's chain from its first event and tells where it breaks first. Calls `onEvent` for each one. */
export async function verifyChain(
  database: Database,
  organizationId: string,
  onEvent: (event: AuditEvent) => void = () => {},
): Promise<ChainReport> {
  let hash = CHAIN_START;
  let sequence = 0;
  let events = 0;
  const report = (broken: ChainReport['broken']) => ({ organizationId, events, head: hash.toString('hex'), broken });
  for (;;) {
    // The head first: events that are appended meanwhile come after it, and the next round finds them.
    const head = await database.within(organizationId, (db) => store.findAuditHead(db, organizationId), 'read');
    const step = await database.within(
      organizationId,
      (db) => store.readChain(db, organizationId, sequence, STEP_EVENTS),
      'read',
    );
    for (const stored of step) {
      events += 1;
      if (stored.event.sequence !== sequence + 1)
        return report({ sequence: sequence + 1, why: 'the event is missing' });
      sequence += 1;
      hash = hashEvent(hash, stored.event);
      if (!hash.equals(stored.hash)) return report({ sequence, why: 'the event is not the one that was written' });
      onEvent(stored.event);
    }
    if (step.length > 0) continue;
    const end = head?.sequence ?? 0;
    if (end < sequence) return report({ sequence: end + 1, why: 'the event was added after the end of the chain' });
    if (end > sequence)
      return report({ sequence: sequence + 1, why: `the event is missing; the chain went on to ${end}` });
    const isWhole = head === undefined || head.hash.equals(hash);
    return report(isWhole ? null : { sequence, why: 'the end of the chain is not the hash of its last event' });
  }
}
