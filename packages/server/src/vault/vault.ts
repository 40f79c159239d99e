import type { Database } from '../database/database.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import * as store from './store.ts';

/**
 * The vault: every envelope that was accepted, as its bytes came, for as long as envelopes are kept. Written with the
 * append to the intake log, never changed; read by those who map again. Promise: what is in it is given whole, and what
 * is past its retention is left out rather than an error. Assumes a caller who may see every organization's envelopes.
 * Fails as the database fails.
 */
export interface Vault {
  /** The envelopes of these ids that are there, in no order. Bodies come whole: ask for as many as fit into memory. */
  find(named: readonly EnvelopeName[]): Promise<Envelope[]>;
  /**
   * Up to `take` envelopes received from `fromMs` on and before `untilMs`, by time, of one product or of all. No index
   * has the product: what others sent in that time is read as well.
   */
  list(range: EnvelopeRange): Promise<Envelope[]>;
}

export interface EnvelopeName {
  readonly id: string;
  readonly receivedAtMs: number;
}

export interface EnvelopeRange {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly product?: string;
  /** The last one of the page before. */
  readonly after?: EnvelopeName;
  readonly take: number;
}

export function createVault(database: Pick<Database, 'system'>): Vault {
  return {
    find: async (named) => (named.length === 0 ? [] : store.selectEnvelopes(database.system, named)),
    list: (range) => store.listEnvelopes(database.system, range),
  };
}
