import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from '../database/database.ts';
import { openLease } from '../database/lease.ts';
import type { Partitions } from '../database/partitions.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import { createVersionFreeze, VersionChanged } from '../products/freeze-versions.ts';
import type { Products } from '../products/products.ts';
import { createVault, type Vault } from '../vault/vault.ts';
import { requeueClaimed } from './claims.ts';
import { type BatchParts, PRODUCT_WAIT_MS_MAX, processBatch } from './process-batch.ts';
import type { Settled } from './settle.ts';
import { createWakeUp, type WakeUp } from './wake-up.ts';

/**
 * The mapper loop: takes envelopes from the intake log in batches, maps them, stores what came of them in one transaction
 * and then ends them in the log. Promise: exactly once in effect, whatever dies in between, because what is taken again
 * is found to be there already; ordered per asset, because one node at a time has the lease, takes the log in order and
 * stores only while nobody else has it; no envelope can stop the ones behind it, because one that cannot be stored is
 * settled alone, as rejected; under one version number the same payload always becomes the same record. Woken by the
 * doorbell; a poll every second heals a lost ring. What this node has no product for is left to a node that has it. Fails
 * softly: while the database is away it waits and retries. If a version of its products has mapped with another content, it
 * leaves mapping to other nodes.
 */
export interface Mapper {
  /** Resolves once the batch under way is stored; nothing new is begun. */
  close(): Promise<void>;
}

export interface MapperParts {
  readonly database: Database;
  readonly intakeLog: IntakeLog;
  readonly partitions: Partitions;
  readonly products: Products;
  readonly doorbell: Doorbell;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly onSettled?: (settled: Settled, envelopes: number) => void;
}

type Loop = MapperParts & BatchParts & { readonly vault: Vault };

const BATCH_ENVELOPES_MAX = 1_000;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const POLL_MS = 1_000;
const RETRY_MS_MAX = 2_000;
/** How often deferred envelopes are looked at again by a node that goes on mapping. */
const RESUME_MS = 10 * 60_000;

export function openMapper(parts: MapperParts): Mapper {
  const closing = new AbortController();
  const bell = createWakeUp(parts.clock, closing.signal);
  const stopListening = parts.doorbell.on('intake', bell.ring);
  const lease = openLease({ ...parts, name: 'mapper', onHeld: bell.ring });
  const loop = {
    ...parts,
    lease,
    vault: createVault(parts.database),
    freezeVersions: createVersionFreeze(parts.products),
  };
  const finished = runLoop(loop, bell, closing.signal);
  return {
    async close() {
      closing.abort();
      stopListening();
      bell.ring();
      await finished;
      await lease.close();
    },
  };
}

async function runLoop(parts: Loop, bell: WakeUp, closing: AbortSignal): Promise<void> {
  const { lease } = parts;
  const resume = createResume(parts);
  let retryMs = 50;
  while (!closing.aborted) {
    try {
      if (!lease.isHeld) {
        await bell.wait(POLL_MS);
        continue;
      }
      await resume();
      await requeueClaimed(parts);
      const batch = await parts.intakeLog.take({ envelopesMax: BATCH_ENVELOPES_MAX, bytesMax: BATCH_BYTES_MAX });
      if (batch.expired > 0) noteExpired(parts, batch.expired);
      if (batch.envelopes.length === 0) await bell.wait(POLL_MS);
      else await processBatch(parts, batch);
      retryMs = 50;
    } catch (error) {
      if (error instanceof VersionChanged) {
        parts.log.error(
          { err: error },
          'this node maps nothing more until its products are repaired and it is restarted',
        );
        await lease.close();
        continue;
      }
      parts.log.warn({ err: error }, 'mapping will be tried again');
      await bell.wait(retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
  }
}

/** Takes deferred envelopes up when this node begins to map, and now and then. */
function createResume(parts: Loop): () => Promise<void> {
  let fence: number | undefined;
  let nextMs = 0;
  return async () => {
    if (parts.lease.fence === fence && parts.clock.monotonicMs() < nextMs) return;
    const current = parts.lease.fence;
    const names = parts.products.all.map(({ name }) => name);
    await parts.intakeLog.resume(names, parts.clock.nowMs() - PRODUCT_WAIT_MS_MAX);
    fence = current;
    nextMs = parts.clock.monotonicMs() + RESUME_MS;
  };
}

function noteExpired(parts: Loop, expired: number): void {
  parts.log.warn({ envelopes: expired }, 'entries of the intake log ended: their envelopes were past their retention');
  parts.onSettled?.({ recordsAdded: 0, recordsRepeated: 0, rejects: 0, unclaimed: 0, expired }, 0);
}
