import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Database } from '../database/database.ts';
import { isAway } from '../database/database-fault.ts';
import type { Lease } from '../database/lease.ts';
import { isMissingPartition, type Partitions } from '../database/partitions.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { Envelope, IntakeBatch } from '../intake-log/intake-log.ts';
import { type FreezeVersions, VersionChanged } from '../products/freeze-versions.ts';
import type { Products } from '../products/products.ts';
import { settleArrivals } from './arrivals.ts';
import { mapEnvelope, quarantined } from './map-envelope.ts';
import { type MappedEnvelope, type Settled, settle } from './settle.ts';

/** Maps a batch and stores what came of it, in portions; what cannot be stored is settled alone, as rejected. */
export interface BatchParts {
  readonly database: Database;
  readonly partitions: Partitions;
  readonly products: Products;
  readonly doorbell: Doorbell;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly lease: Lease;
  readonly freezeVersions: FreezeVersions;
  readonly onSettled?: (settled: Settled, envelopes: number) => void;
}

/** Records of one transaction, about: with so many, its commit and its round trips are a small part of it. */
const PORTION_RECORDS_MAX = 2000;
/** How long mapping keeps the event loop before it lets through what the database answered, or requests where it has no thread of its own. */
const SLICE_MS = 1;
/** How long an envelope waits for a node that has its product; then it is rejected, and its bytes stay in the vault. */
export const PRODUCT_WAIT_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** While a portion is being stored the next one is mapped: the database and this thread work at once. */
export async function processBatch(parts: BatchParts, batch: IntakeBatch): Promise<void> {
  let portion: MappedEnvelope[] = [];
  let records = 0;
  let storing = Promise.resolve();
  let sliceEndMs = parts.clock.monotonicMs() + SLICE_MS;
  const mappable = await deferUnknown(parts, batch);
  const storeNext = async () => {
    await storing;
    storing = storePortion(parts, batch, portion);
    // Seen by whoever waits for it next.
    storing.catch(() => {});
    [portion, records] = [[], 0];
  };
  for (const envelope of mappable) {
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

async function storePortion(parts: BatchParts, batch: IntakeBatch, portion: readonly MappedEnvelope[]): Promise<void> {
  await storeAll(parts, batch, portion);
  await batch.acknowledge(portion.map(({ envelope }) => envelope));
}

async function storeAll(parts: BatchParts, batch: IntakeBatch, portion: readonly MappedEnvelope[]): Promise<void> {
  try {
    await storeEnvelopes(parts, batch, portion);
  } catch (error) {
    if (isMissingPartition(error)) forgetPartitions(parts.partitions);
    if (isPassing(error)) throw error;
    parts.log.error({ err: error }, 'a batch could not be stored; its envelopes are settled one by one');
    for (const one of portion) await storeAlone(parts, batch, one);
  }
}

async function storeAlone(parts: BatchParts, batch: IntakeBatch, mapped: MappedEnvelope): Promise<void> {
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

/** The database is away, a partition is, another mapper has the lease, or a product was changed: nothing is wrong with the envelopes. */
function isPassing(error: unknown): boolean {
  return isAway(error) || isMissingPartition(error) || error instanceof VersionChanged;
}

async function storeEnvelopes(parts: BatchParts, batch: IntakeBatch, mapped: readonly MappedEnvelope[]): Promise<void> {
  await parts.partitions.ensure(
    'receipt',
    mapped.map(({ envelope }) => envelope.receivedAtMs),
  );
  await parts.partitions.ensure(
    'record',
    mapped.flatMap(({ records }) => records.map((record) => record.observedAtMs)),
  );
  const keyed = await findKeyed(batch, mapped);
  const settled = await parts.database.system.transaction().execute(async (trx) => {
    await parts.lease.guard(trx);
    const remap = (envelope: Envelope, receivedAtMs: number) => mapEnvelope(parts, envelope, receivedAtMs);
    const dated = await settleArrivals(trx, mapped, keyed, remap);
    await parts.freezeVersions(trx, dated, parts.clock.nowMs());
    return settle(trx, dated, { ids: parts.ids, nowMs: parts.clock.nowMs() });
  });
  if (settled.recordsAdded > 0) parts.doorbell.ring('telemetry');
  parts.onSettled?.(settled, mapped.length);
}

/** Asked for before the transaction, which has its connection to itself. */
function findKeyed(batch: IntakeBatch, mapped: readonly MappedEnvelope[]): Promise<ReadonlySet<string>> | Set<string> {
  const dependent = mapped.filter(({ dependsOnArrival }) => dependsOnArrival).map(({ envelope }) => envelope);
  return dependent.length === 0 ? new Set() : batch.findKeyed(dependent);
}

/** Leaves what belongs to products that this node does not have to a node that has them, and gives all others. */
async function deferUnknown(parts: BatchParts, batch: IntakeBatch): Promise<readonly Envelope[]> {
  const sinceMs = parts.clock.nowMs() - PRODUCT_WAIT_MS_MAX;
  const isUnknown = (envelope: Envelope) =>
    parts.products.find(envelope.product) === undefined && envelope.receivedAtMs > sinceMs;
  const unknown = batch.envelopes.filter(isUnknown);
  if (unknown.length === 0) return batch.envelopes;
  await batch.defer(unknown);
  const products = [...new Set(unknown.map(({ product }) => product))];
  parts.log.warn({ products, envelopes: unknown.length }, 'envelopes wait for a node that has their product');
  return batch.envelopes.filter((envelope) => !isUnknown(envelope));
}
