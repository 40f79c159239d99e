import type { Ids } from '@gladhand/base/ids.ts';
import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import type { RejectBody } from '@gladhand/contract/intake.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import type { MappedRecord, MappingOutcome, Reject } from '../mapping/mapped-record.ts';
import { type DeviceSighting, deviceKey, resolveAssets, resolveDevices, resolvePlants } from '../registry/resolve.ts';
import { appendRecords, type NewRecord } from '../telemetry/append.ts';
import { type LeafPaths, leafPathsOf } from './leaf-paths.ts';
import { rejectNotPlants } from './reject-not-plants.ts';
import * as store from './store.ts';
import { writeUnclaimed } from './unclaimed-store.ts';

/**
 * Settling a batch of mapped envelopes in the caller's transaction: whose records they are, the records themselves,
 * what waits for a registration, and a receipt for each. Promise: every envelope given gets exactly one receipt, and
 * every mapped record is stored, rejected or waits. An envelope with a record that waits is `unclaimed` as a whole; when
 * it is mapped again its other records are found to be there already.
 */
export interface MappedEnvelope {
  readonly envelope: Envelope;
  /** Null, as are `leaves`, when the mapping could not be run. */
  readonly mappingVersion: number | null;
  readonly records: readonly MappedRecord[];
  readonly rejects: readonly Reject[];
  readonly rejectsTotal: number;
  readonly skipped: number;
  readonly leaves: MappingOutcome['leaves'] | null;
  /** The same bytes at another time would have become other records. */
  readonly dependsOnArrival: boolean;
  /** The envelope of the same bytes whose clock this one was given. */
  readonly repeats?: string;
}

export interface Settled {
  readonly recordsAdded: number;
  readonly recordsRepeated: number;
  readonly rejects: number;
  readonly unclaimed: number;
  /** Entries that ended without an envelope, because it was past its retention. */
  readonly expired: number;
}

interface Owned {
  readonly id: string;
  readonly organizationId: string;
  readonly kind: NewRecord['assetKind'];
  readonly fleetId: string | null;
}

export async function settle(
  trx: Kysely<Schema>,
  mapped: readonly MappedEnvelope[],
  parts: { ids: Ids; nowMs: number },
): Promise<Settled> {
  const { batch, findOwned } = await resolveOwners(trx, mapped);
  const deviceIds = await resolveDevices(trx, [...sightings(batch, findOwned)], parts);
  const records: NewRecord[] = [];
  const drafts = batch.map((mapped) => {
    const first = records.length;
    const unclaimed = new Set<string>();
    for (const record of mapped.records) {
      const owned = findOwned(mapped.envelope, record.assetRef);
      if (owned === undefined) unclaimed.add(nameOf(record.assetRef));
      else records.push(toNewRecord(mapped, record, owned, deviceIds));
    }
    return { mapped, first, end: records.length, unclaimed };
  });
  const processedAt = new Date(parts.nowMs);
  const leafPaths = batch.map(({ leaves }) => leaves && leafPathsOf(leaves));
  await store.writeLeafPaths(trx, [...distinctPaths(batch, leafPaths)], processedAt.toISOString().slice(0, 10));
  const appended = await appendRecords(trx, records, parts.nowMs);
  await writeUnclaimed(
    trx,
    drafts.flatMap(({ mapped, unclaimed }) => [...unclaimed].map((name) => ({ name, envelope: mapped.envelope }))),
  );
  await store.writeReceipts(
    trx,
    drafts.map(({ mapped, first, end, unclaimed }, index) => ({
      envelope: mapped.envelope,
      status: statusOf(mapped, end - first, unclaimed.size),
      mappingVersion: mapped.mappingVersion,
      recordIds: appended.ids.slice(first, end),
      skipped: mapped.skipped,
      rejectsTotal: mapped.rejectsTotal,
      rejectsJson: JSON.stringify(mapped.rejects.map(toBody)),
      leaves: mapped.leaves && countsOf(mapped.leaves),
      leafPathsId: leafPaths[index]?.id ?? null,
      repeats: mapped.repeats ?? null,
      unclaimed: [...unclaimed],
    })),
    processedAt,
  );
  return {
    recordsAdded: appended.added,
    recordsRepeated: records.length - appended.added,
    rejects: batch.reduce((sum, mapped) => sum + mapped.rejectsTotal, 0),
    unclaimed: drafts.filter(({ unclaimed }) => unclaimed.size > 0).length,
    expired: 0,
  };
}

type FindOwned = (envelope: Envelope, ref: AssetRef) => Owned | undefined;

/**
 * What an operator's key sends belongs to whose the VIN is, what a customer's key sends to its own organization's asset.
 * Another organization's asset answers a customer's key exactly as one that nobody has registered.
 */
async function resolveOwners(
  trx: Kysely<Schema>,
  mapped: readonly MappedEnvelope[],
): Promise<{ batch: readonly MappedEnvelope[]; findOwned: FindOwned }> {
  const refs = mapped.flatMap((mapped) => mapped.records.map((record) => record.assetRef));
  const byVin = await resolveAssets(trx, [...new Set(refs.flatMap((ref) => ('vin' in ref ? [ref.vin] : [])))]);
  const byId = await resolvePlants(trx, [...new Set(refs.flatMap((ref) => ('plantId' in ref ? [ref.plantId] : [])))]);
  const operators = await store.selectOperators(trx, [
    ...new Set(mapped.map(({ envelope }) => envelope.organizationId)),
  ]);
  const batch = await rejectNotPlants(trx, mapped, { isKnown: (plantId) => byId.has(plantId), operators });
  const findOwned: FindOwned = (envelope, ref) => {
    const plant = 'vin' in ref ? undefined : byId.get(ref.plantId);
    const assets = 'vin' in ref ? (byVin.get(ref.vin) ?? []) : plant === undefined ? [] : [plant];
    const isOperators = operators.has(envelope.organizationId);
    return assets.find((asset) => isOperators || asset.organizationId === envelope.organizationId);
  };
  return { batch, findOwned };
}

function* sightings(batch: readonly MappedEnvelope[], findOwned: FindOwned): Iterable<DeviceSighting> {
  for (const { envelope, records } of batch) {
    for (const record of records) {
      const owned = record.device && findOwned(envelope, record.assetRef);
      if (!record.device || !owned) continue;
      yield {
        organizationId: owned.organizationId,
        product: envelope.product,
        externalId: record.device.externalId,
        kind: record.device.kind,
        assetId: owned.id,
        // A clock that runs ahead does not make the device look alive tomorrow.
        seenAtMs: Math.min(record.observedAtMs, envelope.receivedAtMs),
      };
    }
  }
}

function toNewRecord(
  mapped: MappedEnvelope,
  record: MappedRecord,
  owned: Owned,
  deviceIds: ReadonlyMap<string, string>,
): NewRecord {
  const { envelope } = mapped;
  const device = record.device && {
    organizationId: owned.organizationId,
    product: envelope.product,
    externalId: record.device.externalId,
  };
  return {
    assetId: owned.id,
    assetKind: owned.kind,
    organizationId: owned.organizationId,
    fleetId: owned.fleetId,
    deviceId: (device && deviceIds.get(deviceKey(device))) ?? null,
    product: envelope.product,
    mappingVersion: mapped.mappingVersion ?? 0,
    receiptId: envelope.id,
    observedAtMs: record.observedAtMs,
    deviceAtMs: record.deviceAtMs ?? null,
    isIdentifiedByDeviceAt: record.isIdentifiedByDeviceAt === true,
    receivedAtMs: envelope.receivedAtMs,
    signals: record.signals,
    states: record.states,
  };
}

function nameOf(ref: AssetRef): string {
  return 'vin' in ref ? ref.vin : ref.plantId;
}

function statusOf(mapped: MappedEnvelope, stored: number, waiting: number): store.ReceiptStatus {
  if (waiting > 0) return 'unclaimed';
  if (mapped.rejectsTotal === 0) return 'processed';
  if (mapped.rejects[0]?.code === 'nothing-taken') return 'nothing-taken';
  return stored === 0 ? 'rejected' : 'partly-rejected';
}

function countsOf({ taken, skipped, leftOut, rejected, unused }: MappingOutcome['leaves']): number[] {
  return [taken, skipped, leftOut, rejected, unused];
}

/** Of the same paths of one organization one, in the order of their keys, so that two batches never wait for each other. */
function* distinctPaths(batch: readonly MappedEnvelope[], leafPaths: ReadonlyArray<LeafPaths | null>) {
  const distinct = new Map<string, LeafPaths & { organizationId: string }>();
  leafPaths.forEach((paths, index) => {
    const { organizationId } = batch[index]!.envelope;
    if (paths !== null) distinct.set(`${organizationId} ${paths.id}`, { ...paths, organizationId });
  });
  for (const key of [...distinct.keys()].sort()) yield distinct.get(key)!;
}

function toBody(reject: Reject): RejectBody {
  const { refused, record, code, pointer, expression, found, detail } = reject;
  return { refused, record, code, pointer, element: reject.element ?? null, expression, found, detail };
}
