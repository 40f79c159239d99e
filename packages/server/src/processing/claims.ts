import type { Database } from '../database/database.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import type { Vault } from '../vault/vault.ts';
import * as store from './unclaimed-store.ts';

/**
 * Puts envelopes back into the log whose asset has been registered since they were mapped. Promise: every registration
 * is looked at once, by its name, so that a round without one costs a look at an empty table however many envelopes
 * wait. Assumes that nobody settles meanwhile: an envelope that is being settled could begin to wait for a name after
 * its registration was looked at. May be repeated: an envelope that is put back twice is mapped twice, to the same records.
 */
const CLAIMS_MAX = 100;
/** Their bodies are in memory at once. */
const ENVELOPES_MAX = 100;

export async function requeueClaimed(parts: { database: Database; intakeLog: IntakeLog; vault: Vault }): Promise<void> {
  const { database, intakeLog, vault } = parts;
  for (;;) {
    const claims = await store.selectNewClaims(database, CLAIMS_MAX);
    if (claims.length === 0) return;
    let waiting: store.Waiting[];
    do {
      waiting = await store.selectWaiting(database, claims, ENVELOPES_MAX);
      // What is past its retention is not found, and ends here.
      const envelopes = await vault.find([...new Map(waiting.map((one) => [one.id, one])).values()]);
      await intakeLog.requeue(envelopes.sort((one, other) => (one.id < other.id ? -1 : 1)));
      if (waiting.length > 0) await store.deleteWaiting(database, waiting);
    } while (waiting.length === ENVELOPES_MAX);
    await store.deleteNewClaims(database, claims);
  }
}
