import type { FilterIds, FilterNames } from '@gladhand/contract/feed-filter.ts';
import type { AssetKind } from '@gladhand/contract/record.ts';
import { idOf, idOrVinOf } from './asset-name.ts';
import { type AssetName, selectAssets } from './asset-store.ts';
import { selectFleets } from './fleet-store.ts';
import { notFound } from './not-found.ts';
import type { Connection } from './stored-row.ts';

const NOUNS = { trailer: 'trailer', deliversafe: 'DeliverSafe unit', plant: 'plant' } as const;

/** What a filter names, as ids. Throws `not-found` when any of it is not the organization's. */
export async function resolveFilter(
  own: Connection,
  organizationId: string,
  names: Partial<FilterNames>,
): Promise<FilterIds> {
  const fleetIds = await fleetIdsOf(own, organizationId, names.fleets ?? []);
  const assetIds = [
    ...(await assetIdsOf(own, organizationId, 'trailer', names.trailers ?? [])),
    ...(await assetIdsOf(own, organizationId, 'deliversafe', names.deliverSafe ?? [])),
    ...(await assetIdsOf(own, organizationId, 'plant', names.plants ?? [])),
  ];
  return { fleetIds, assetIds: [...new Set(assetIds)] };
}

async function fleetIdsOf(own: Connection, organizationId: string, names: readonly string[]): Promise<string[]> {
  const ids = [...new Set(names.map((name) => known('fleet', idOf(name)).id))];
  if (ids.length === 0) return [];
  const rows = await selectFleets(own, organizationId, ids);
  if (rows.length < ids.length) throw notFound('fleet');
  return ids;
}

async function assetIdsOf(
  own: Connection,
  organizationId: string,
  kind: AssetKind,
  names: readonly string[],
): Promise<string[]> {
  if (names.length === 0) return [];
  const noun = NOUNS[kind];
  const asked: AssetName[] = names.map((name) => known(noun, kind === 'plant' ? idOf(name) : idOrVinOf(name)));
  const rows = await selectAssets(own, organizationId, [kind], asked);
  const rowOf = (name: AssetName) =>
    rows.find((row) => row.id === name.id || (row.vin !== null && row.vin === name.vin)) ?? null;
  return asked.map((name) => known(noun, rowOf(name)).id);
}

function known<Item>(noun: string, item: Item | null): Item {
  if (item === null) throw notFound(noun);
  return item;
}
