import type { Ids } from '@gladhand/base/ids.ts';
import { type ResolvedAsset, selectAssetsByVin, selectOtherThanPlants, selectPlants } from './claim-store.ts';
import { type DeviceKey, selectDevices, upsertDevices } from './sighting-store.ts';
import type { Connection } from './stored-row.ts';

/**
 * Whose is what arrives: VINs and plant ids to assets, device names to devices, a whole batch at a time inside the
 * caller's transaction. Promise: one statement for the assets of a batch; one for its devices when nothing changed
 * and two when something did; no deadlock between two batches, because rows are locked in the order of their keys.
 * Assumes the caller has decided which organizations a partner may send for. Fails as the transaction fails.
 */

/**
 * Assets by normalized VIN; a VIN nobody registered is not in the answer. Several organizations may have registered one:
 * the first asset is the one whose telemetry it is.
 */
export function resolveAssets(trx: Connection, vins: readonly string[]): Promise<Map<string, ResolvedAsset[]>> {
  return vins.length === 0 ? Promise.resolve(new Map()) : selectAssetsByVin(trx, vins);
}

/** Plants by id (lower-case UUID); an id nobody registered is not in the answer. */
export function resolvePlants(trx: Connection, plantIds: readonly string[]): Promise<Map<string, ResolvedAsset>> {
  return plantIds.length === 0 ? Promise.resolve(new Map()) : selectPlants(trx, plantIds);
}

/** Of these ids, those of assets that are no plants, with the organizations they belong to. */
export async function findOtherThanPlants(trx: Connection, ids: readonly string[]): Promise<Map<string, string>> {
  const assets = ids.length === 0 ? [] : await selectOtherThanPlants(trx, ids);
  return new Map(assets.map(({ id, organizationId }) => [id, organizationId]));
}

export interface DeviceSighting extends DeviceKey {
  /** The organization is the asset's owner. */
  readonly assetId: string;
  readonly kind: string;
  /** When the device reported, milliseconds since the epoch. */
  readonly seenAtMs: number;
}

/** A busy device costs one write a minute. */
const SEEN_RESOLUTION_MS = 60_000;
const EXTERNAL_ID_CHARS_MAX = 200;

/**
 * The device id of every sighting, by `deviceKey`. Devices seen for the first time are entered; one seen on another
 * asset than before moves there, unless it was seen somewhere later. A sighting whose external id cannot be stored
 * (empty, longer than 200 characters, NUL, half a surrogate pair) is not in the answer.
 */
export async function resolveDevices(
  trx: Connection,
  sightings: readonly DeviceSighting[],
  parts: { ids: Ids; nowMs: number },
): Promise<Map<string, string>> {
  const devices = [...mergeSightings(sightings)].sort(([one], [other]) => (one < other ? -1 : 1));
  if (devices.length === 0) return new Map();
  const keys = devices.map(([, { last }]) => last);
  const known = new Map((await selectDevices(trx, keys)).map((device) => [deviceKey(device), device]));
  const writes = devices.flatMap(([key, { last, firstSeenAtMs }]) => {
    const device = known.get(key);
    const isNews =
      device === undefined ||
      device.lastSeenAtMs === null ||
      last.seenAtMs >= device.lastSeenAtMs + SEEN_RESOLUTION_MS ||
      (device.assetId !== last.assetId && last.seenAtMs > device.lastSeenAtMs);
    if (!isNews) return [];
    const firstSeenAt = new Date(firstSeenAtMs);
    return [{ ...last, id: device?.id ?? parts.ids.uuid(), firstSeenAt, lastSeenAt: new Date(last.seenAtMs) }];
  });
  const written = writes.length === 0 ? [] : await upsertDevices(trx, writes, new Date(parts.nowMs));
  return new Map([...known.values(), ...written].map((device) => [deviceKey(device), device.id]));
}

/** Names a device within a batch. */
export function deviceKey(device: DeviceKey): string {
  return `${device.organizationId}\n${device.product}\n${device.externalId}`;
}

interface Seen {
  readonly last: DeviceSighting;
  readonly firstSeenAtMs: number;
}

function mergeSightings(sightings: readonly DeviceSighting[]): Map<string, Seen> {
  const seen = new Map<string, Seen>();
  for (const sighting of sightings) {
    const { externalId } = sighting;
    const isStorable =
      externalId.length > 0 &&
      externalId.length <= EXTERNAL_ID_CHARS_MAX &&
      externalId.isWellFormed() &&
      !externalId.includes('\0');
    if (!isStorable) continue;
    const key = deviceKey(sighting);
    const before = seen.get(key);
    seen.set(key, {
      last: before === undefined || sighting.seenAtMs >= before.last.seenAtMs ? sighting : before.last,
      firstSeenAtMs: Math.min(before?.firstSeenAtMs ?? sighting.seenAtMs, sighting.seenAtMs),
    });
  }
  return seen;
}
