import { openNext } from '@gladhand/base/cursor.ts';
import type { Principal } from '../access/principal.ts';
import type { TimeRequest } from '../telemetry/read.ts';
import type { JsonPage, QueryParts } from './json-page.ts';

export interface TimeWalk extends Pick<TimeRequest, 'of' | 'fromMs' | 'toMs' | 'order' | 'take'> {
  /** `gps`: only records with a position, cut down to it. A cursor of one kind does not open another. */
  readonly kind: 'gps' | 'device' | 'deliversafe';
  readonly next: string | undefined;
}

/** A page of one asset's or device's records by the time they were observed. Throws `invalid-cursor`. */
export async function readByTime(
  { reader, cursors }: QueryParts,
  { organizationId, plantIds }: Principal,
  { kind, next, ...walk }: TimeWalk,
): Promise<JsonPage> {
  const query = `${kind} ${Object.values(walk.of)[0]} ${walk.fromMs} ${walk.toMs} ${walk.order}`;
  const binding = { organizationId, query };
  const before = openNext(cursors, binding, next);
  const { json, after } = await reader.byTime({
    ...walk,
    organizationId,
    plantIds,
    gpsOnly: kind === 'gps',
    after: before && { observedAtMs: before[0] as number, id: before[1] as string },
  });
  return { items: json, next: after && cursors.seal(binding, [after.observedAtMs, after.id]) };
}
