import { Fault } from '@gladhand/base/fault.ts';
import { isUuid } from '@gladhand/base/ids.ts';
import type { FilterIds, FilterNames } from '@gladhand/contract/feed-filter.ts';
import type { Filter } from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import { SIGNAL_GROUPS } from '@gladhand/contract/signals.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Principal } from '../access/principal.ts';
import type { FeedFilter, FeedRow } from '../telemetry/read.ts';
import { isSignalGroup, signalGroupBits } from '../telemetry/signal-groups.ts';

/**
 * Which records a subscriber gets. Names become ids once, when the stream starts; from then on a record is judged by
 * what its row says. A name that does not exist and one that is another organization's are refused alike.
 */
export interface RecordFilter {
  /** Two filters with the same key let the same records pass. */
  readonly key: string;
  matches(row: Pick<FeedRow, 'assetId' | 'assetKind' | 'fleetId' | 'signalGroups'>): boolean;
  /** What the store can narrow a read down to by itself; `matches` still has the last word. */
  readonly narrow: Omit<FeedFilter, 'organizationId'>;
  /** Empty: every asset. */
  readonly fleetIds: ReadonlySet<string>;
  readonly assetIds: ReadonlySet<string>;
  /** Null: every signal group. */
  readonly signals: ReadonlySet<string> | null;
  /** The plants the key is restricted to; null: all of its organization. */
  readonly plantIds: ReadonlySet<string> | null;
}

/**
 * Turns names into ids of this organization: fleets by UUID, trailers and DeliverSafe units by UUID or VIN, plants by
 * UUID. Throws a `not-found` Fault when any of them is unknown, of another kind or another organization's.
 */
export type ResolveFilter = (organizationId: string, names: FilterNames) => Promise<FilterIds>;

/** Each name costs a look-up when the stream starts; beyond this, a filter by fleet is the better way to say it. */
export const FILTER_NAMES_MAX = 1_000;

/** Reads the filter of a request. Throws `invalid-uuid`, `invalid-vin`, `validation-failed` or `not-found`. */
export async function openFilter(
  resolve: ResolveFilter,
  principal: Principal,
  filter: Filter | undefined,
): Promise<RecordFilter> {
  if (filter === undefined) return createFilter({ fleetIds: [], assetIds: [] }, [], principal.plantIds);
  const { fleets, trailers, deliverSafe, plants, signals } = filter;
  if (fleets.length + trailers.length + deliverSafe.length + plants.length > FILTER_NAMES_MAX) {
    throw invalid('filter', `A filter may name ${FILTER_NAMES_MAX} fleets and assets at most.`);
  }
  const unknown = signals.find((name) => !isSignalGroup(name));
  if (unknown !== undefined) {
    throw invalid(
      'filter/signals',
      `\`${unknown.slice(0, 50)}\` is not a signal group; there are ${SIGNAL_GROUPS.join(', ')}.`,
    );
  }
  const names: FilterNames = {
    fleets: fleets.map((name) => uuidOf(name, 'fleets')),
    trailers: trailers.map((name) => uuidOrVinOf(name, 'trailers')),
    deliverSafe: deliverSafe.map((name) => uuidOrVinOf(name, 'deliver_safe')),
    plants: plants.map((name) => uuidOf(name, 'plants')),
  };
  const named = Object.values(names).some((list) => list.length > 0);
  const ids = named ? await resolveNames(resolve, principal, names) : { fleetIds: [], assetIds: [] };
  return createFilter(ids, signals, principal.plantIds);
}

export function createFilter(
  ids: FilterIds,
  signalNames: readonly string[],
  plantIds: ReadonlySet<string> | null,
): RecordFilter {
  const fleetIds = new Set(ids.fleetIds);
  const assetIds = new Set(ids.assetIds);
  const everyAsset = fleetIds.size + assetIds.size === 0;
  const signals = signalNames.length === 0 ? null : new Set(signalNames);
  const groups = signals === null ? 0 : signalGroupBits(signals);
  return {
    key: JSON.stringify([[...fleetIds].sort(), [...assetIds].sort(), groups, plantIds && [...plantIds].sort()]),
    matches(row) {
      if (groups !== 0 && (row.signalGroups & groups) === 0) return false;
      if (plantIds !== null && row.assetKind === 'plant' && !plantIds.has(row.assetId)) return false;
      return everyAsset || assetIds.has(row.assetId) || (row.fleetId !== null && fleetIds.has(row.fleetId));
    },
    narrow: {
      ...(fleetIds.size > 0 && { fleetIds: [...fleetIds] }),
      ...(assetIds.size > 0 && { assetIds: [...assetIds] }),
      ...(groups !== 0 && { signalGroups: groups }),
      plantIds,
    },
    fleetIds,
    assetIds,
    signals,
    plantIds,
  };
}

async function resolveNames(resolve: ResolveFilter, principal: Principal, names: FilterNames): Promise<FilterIds> {
  const notFound = () => new Fault('not-found', 'A fleet or asset that the filter names does not exist.');
  if (principal.plantIds !== null && names.plants.some((id) => !principal.plantIds!.has(id))) throw notFound();
  try {
    return await resolve(principal.organizationId, names);
  } catch (error) {
    // Word for word the same, whoever's it is and however the resolver put it.
    throw error instanceof Fault && error.code === 'not-found' ? notFound() : error;
  }
}

function uuidOf(name: string, field: string): string {
  if (!isUuid(name)) throw new Fault('invalid-uuid', `filter/${field}: \`${name.slice(0, 50)}\` is not a UUID.`);
  return name.toLowerCase();
}

function uuidOrVinOf(name: string, field: string): string {
  if (isUuid(name)) return name.toLowerCase();
  const vin = normalizeVin(name);
  if (!vin.ok)
    throw new Fault(
      'invalid-vin',
      `filter/${field}: \`${name.slice(0, 50)}\` is neither a UUID nor a VIN: ${vin.detail}.`,
    );
  return vin.vin;
}

function invalid(pointer: string, detail: string): Fault {
  return new Fault('validation-failed', detail, { errors: [{ pointer: `/${pointer}`, code: 'invalid', detail }] });
}
