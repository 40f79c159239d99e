import { openNext } from '@gladhand/base/cursor.ts';
import type { Principal } from '../access/principal.ts';
import { found } from '../registry/not-found.ts';
import { type JsonPage, joined, type QueryParts } from './json-page.ts';

export interface LatestQuery {
  /** The id of a fleet. */
  readonly fleet: string | undefined;
  /** The id or VIN of a trailer or DeliverSafe unit. */
  readonly trailer: string | undefined;
  readonly next: string | undefined;
  readonly take: number;
}

/** A page of the latest values, by asset. Throws `not-found` or `invalid-cursor`. */
export async function readLatest(
  { registry, reader, cursors }: QueryParts,
  { organizationId, plantIds }: Principal,
  { fleet, trailer, next, take }: LatestQuery,
): Promise<JsonPage> {
  const fleetId = fleet === undefined ? undefined : found('fleet', await registry.findFleet(organizationId, fleet)).id;
  const assetId =
    trailer === undefined ? undefined : found('trailer', await registry.findVehicleId(organizationId, trailer));
  const binding = { organizationId, query: `latest ${fleetId ?? '-'} ${assetId ?? '-'}` };
  const page = await reader.latest({
    organizationId,
    plantIds,
    ...(fleetId !== undefined && { fleetId }),
    ...(assetId !== undefined && { assetId }),
    afterAssetId: (openNext(cursors, binding, next)?.[0] ?? null) as string | null,
    take,
  });
  const after = page.afterAssetId;
  return { items: joined(page.rows), next: after === null ? null : cursors.seal(binding, [after]) };
}
