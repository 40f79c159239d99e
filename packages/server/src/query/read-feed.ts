import { openNext } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Principal } from '../access/principal.ts';
import { found } from '../registry/not-found.ts';
import { feedBinding } from '../telemetry/feed-cursor.ts';
import { isSignalGroup, signalGroupBits } from '../telemetry/signal-groups.ts';
import { type JsonPage, joined, type QueryParts } from './json-page.ts';

export interface FeedQuery {
  readonly next: string | undefined;
  /** Where to start without `next`. */
  readonly from: 'oldest' | 'now' | undefined;
  /** The id of a fleet. */
  readonly fleet: string | undefined;
  /** Names of signal groups, separated by commas. */
  readonly signals: string | undefined;
  readonly take: number;
}

export interface FeedJsonPage extends JsonPage {
  /** Whether everything that was visible has been examined. */
  readonly caughtUp: boolean;
}

/** A page of the feed. Throws `validation-failed`, `not-found` or `invalid-cursor`. */
export async function readFeed(
  { registry, reader, cursors }: QueryParts,
  { organizationId, plantIds }: Principal,
  { next, from, fleet, signals, take }: FeedQuery,
): Promise<FeedJsonPage> {
  if (next !== undefined && from !== undefined)
    throw misused('from', 'says where to start, and `next` does already; send one of them');
  const binding = feedBinding(organizationId);
  const before = openNext(cursors, binding, next);
  const signalGroups = signals === undefined ? undefined : readSignals(signals);
  const fleetId = fleet === undefined ? undefined : found('fleet', await registry.findFleet(organizationId, fleet)).id;
  const start = from === 'now' ? await reader.head() : 0;
  const page = await reader.feed({
    organizationId,
    plantIds,
    ...(fleetId !== undefined && { fleetIds: [fleetId] }),
    ...(signalGroups !== undefined && { signalGroups }),
    afterPosition: (before?.[0] ?? start) as number,
    take,
  });
  return { items: joined(page.rows), next: cursors.seal(binding, [page.through]), caughtUp: page.isCaughtUp };
}

/** The bit set of the groups named, separated by commas. */
function readSignals(text: string): number {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !isSignalGroup(name));
  if (unknown !== undefined)
    throw misused('signals', `names ${JSON.stringify(unknown.slice(0, 40))}, which is no signal group`);
  return signalGroupBits(names);
}

function misused(parameter: string, detail: string): Fault {
  return new Fault('validation-failed', `The query does not match its schema: /query/${parameter} ${detail}.`, {
    errors: [{ pointer: `/query/${parameter}`, code: 'invalid', detail }],
  });
}
