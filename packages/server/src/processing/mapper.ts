import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { readJson } from '@gladhand/base/read-json.ts';
import type { Database } from '../database/database.ts';
import { isAway } from '../database/database-fault.ts';
import { type Lease, openLease } from '../database/lease.ts';
import { isMissingPartition, type Partitions } from '../database/partitions.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { Envelope, IntakeBatch, IntakeLog } from '../intake-log/intake-log.ts';
import type { Reject } from '../mapping/mapped-record.ts';
import { createVersionFreeze, type FreezeVersions, VersionChanged } from '../products/freeze-versions.ts';
import type { Products } from '../products/products.ts';
import { settleArrivals } from './arrivals.ts';
import { type MappedEnvelope, type Settled, settle } from './settle.ts';
import * as store from './store.ts';

/**
 * The mapper loop: takes envelopes from the intake log in batches, maps them, stores what came of them and ends them
 * in the log, all in one transaction. Promise: exactly once in effect, whatever dies in between, because the log's
 * entries end in the transaction that stores their records; ordered per asset, because one node at a time has the
 * lease and takes the log in order; no envelope can stop the ones behind it, because one that cannot be stored is
 * settled alone, as rejected; under one version number the same payload always becomes the same record. Woken by the
 * doorbell; a poll every second heals a lost ring. Fails softly: while the database is away it waits and retries. Where
 * a version of its products has mapped with another content, it leaves mapping to other nodes.
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

/** What the loop has beside its parts. */
interface Loop extends MapperParts {
  readonly freezeVersions: FreezeVersions;
}

const BATCH_ENVELOPES_MAX = 1_000;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const POLL_MS = 1_000;
const RETRY_MS_MAX = 2_000;
/** Records of one transaction, about: with so many, its commit and its round trips are a small part of it. */
const PORTION_RECORDS_MAX = 2000;
/** How long mapping keeps the event loop before it lets through what the database answered, or requests where it has no thread of its own. */
const SLICE_MS = 1;

export function openMapper(parts: MapperParts): Mapper {
  const closing = new AbortController();
  const bell = createWakeUp(parts.clock, closing.signal);
  const stopListening = parts.doorbell.on('intake', bell.ring);
  const lease = openLease({ ...parts, name: 'mapper', onHeld: bell.ring });
  const loop = { ...parts, freezeVersions: createVersionFreeze(parts.products) };
  const finished = runLoop(loop, lease, bell, closing.signal);
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

async function runLoop(parts: Loop, lease: Lease, bell: WakeUp, closing: AbortSignal): Promise<void> {
  let retryMs = 50;
  while (!closing.aborted) {
    try {
      if (!lease.isHeld) {
        await bell.wait(POLL_MS);
        continue;
      }
      await requeueClaimed(parts);
      const batch = await parts.intakeLog.take({ envelopesMax: BATCH_ENVELOPES_MAX, bytesMax: BATCH_BYTES_MAX });
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

/** An asset may have been registered since its envelopes came; they go back into the log. */
async function requeueClaimed(parts: MapperParts): Promise<void> {
  if (!(await store.hasUnclaimed(parts.database))) return;
  await parts.database.system.transaction().execute(async (trx) => {
    const claimed = await store.takeClaimed(trx, BATCH_ENVELOPES_MAX);
    if (claimed.length > 0) await parts.intakeLog.requeue(trx, claimed);
  });
}

/** While a portion is being stored the next one is mapped: the database and this thread work at once. */
async function processBatch(parts: Loop, batch: IntakeBatch): Promise<void> {
  let portion: MappedEnvelope[] = [];
  let records = 0;
  let storing = Promise.resolve();
  let sliceEndMs = parts.clock.monotonicMs() + SLICE_MS;
  const storeNext = async () => {
    await storing;
    storing = storePortion(parts, batch, portion);
    // Seen by whoever waits for it next.
    storing.catch(() => {});
    [portion, records] = [[], 0];
  };
  for (const envelope of batch.envelopes) {
    const mapped = mapEnvelope(parts, envelope);
    portion.push(mapped);
    records += mapped.records.length;
    if (records >= PORTION_RECORDS_MAX) await storeNext();
    if (parts.clock.monotonicMs() >= sliceEndMs) {
      await new Promise((resolve) => setImmediate(resolve));
      sliceEndMs = parts.clock.monotonicMs() + SLICE_MS;
    }
  }
  if (portion.length > 0) await storeNext();
  await storing;
}

async function storePortion(parts: Loop, batch: IntakeBatch, portion: readonly MappedEnvelope[]): Promise<void> {
  try {
    await storeEnvelopes(parts, batch, portion);
  } catch (error) {
    if (isMissingPartition(error)) forgetPartitions(parts.partitions);
    if (isPassing(error)) throw error;
    parts.log.error({ err: error }, 'a batch could not be stored; its envelopes are settled one by one');
    for (const one of portion) await storeAlone(parts, batch, one);
  }
}

async function storeAlone(parts: Loop, batch: IntakeBatch, mapped: MappedEnvelope): Promise<void> {
  try {
    await storeEnvelopes(parts, batch, [mapped]);
  } catch (error) {
    if (isPassing(error)) throw error;
    parts.log.error(
      { err: error, receiptId: mapped.envelope.id },
      'an envelope could not be stored and is kept as rejected',
    );
    const detail = 'its records could not be stored; the operator finds the cause in the log under the receipt id';
    await storeEnvelopes(parts, batch, [quarantined(mapped.envelope, 'storing-failed', detail)]);
  }
}

/** A partition has aged out and was dropped elsewhere since this mapper last saw it. */
function forgetPartitions(partitions: Partitions): void {
  partitions.forget('receipt');
  partitions.forget('record');
}

/** The database is away, a partition is, another mapper has the batch, or a product was changed: nothing is wrong with the envelopes. */
function isPassing(error: unknown): boolean {
  return isAway(error) || isMissingPartition(error) || error instanceof VersionChanged;
}

async function storeEnvelopes(parts: Loop, batch: IntakeBatch, mapped: readonly MappedEnvelope[]): Promise<void> {
  await parts.partitions.ensure(
    'receipt',
    mapped.map(({ envelope }) => envelope.receivedAtMs),
  );
  await parts.partitions.ensure(
    'record',
    mapped.flatMap(({ records }) => records.map((record) => record.observedAtMs)),
  );
  const settled = await parts.database.system.transaction().execute(async (trx) => {
    await batch.acknowledge(
      trx,
      mapped.map(({ envelope }) => envelope),
    );
    const remap = (envelope: Envelope, receivedAtMs: number) => mapEnvelope(parts, envelope, receivedAtMs);
    const dated = await settleArrivals(trx, mapped, batch, remap);
    await parts.freezeVersions(trx, dated, parts.clock.nowMs());
    return settle(trx, dated, { ids: parts.ids, nowMs: parts.clock.nowMs() });
  });
  if (settled.recordsAdded > 0) parts.doorbell.ring('telemetry');
  parts.onSettled?.(settled, mapped.length);
}

function mapEnvelope(parts: MapperParts, envelope: Envelope, receivedAtMs = envelope.receivedAtMs): MappedEnvelope {
  const product = parts.products.find(envelope.product);
  if (product === undefined)
    return quarantined(envelope, 'product-missing', `the product \`${envelope.product}\` is not installed any more`);
  try {
    const outcome = product.mapping.run({
      payload: readJson(envelope.body),
      ...envelope.asset,
      receivedAtMs,
    });
    return { envelope, mappingVersion: product.mappingVersion, ...outcome };
  } catch (error) {
    parts.log.error({ err: error, receiptId: envelope.id }, 'a mapping threw');
    return quarantined(
      envelope,
      'mapping-failed',
      'the mapping failed on this payload; the operator finds the cause in the log under the receipt id',
    );
  }
}

/** Nothing is lost: the envelope stays in the vault and its receipt says why it came to nothing. */
function quarantined(envelope: Envelope, code: Reject['code'], detail: string): MappedEnvelope {
  const reject: Reject = { refused: 'payload', record: 0, code, pointer: '', expression: '', found: '', detail };
  return {
    ...{ envelope, mappingVersion: null, records: [], rejects: [reject], rejectsTotal: 1, skipped: 0 },
    ...{ leaves: null, dependsOnArrival: false },
  };
}

interface WakeUp {
  readonly ring: () => void;
  /** Resolves at a ring, after `delayMs`, or when the loop closes; at once when it rang since the last wait. */
  wait(delayMs: number): Promise<void>;
}

function createWakeUp(clock: Clock, closing: AbortSignal): WakeUp {
  let isRung = false;
  let wake = () => {};
  return {
    ring() {
      isRung = true;
      wake();
    },
    async wait(delayMs) {
      if (!isRung && !closing.aborted) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(delayMs, resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
      }
      isRung = false;
    },
  };
}
