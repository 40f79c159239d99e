import type { Signals } from '@gladhand/contract/signals.ts';
import { Misfit, type Place } from './misfit.ts';
import type { RecordPlan } from './record-plan.ts';
import { linesOf, type SignalNode, type Writing } from './signal-node.ts';
import { setState, stateOf } from './signal-state.ts';

/** Degrees. A receiver without a fix reports 0, 0 or close to it. No vehicle is there: the nearest coast is 500 km away. */
const NULL_ISLAND_DEG = 0.1;

/**
 * Checks that latitude and longitude come together and are not 0, 0. If not, the whole gps group is left out, because its
 * speed and heading come from the same receiver. The other signals stay. Returns the signals, or undefined if none is left.
 */
export function checkPosition(signals: Signals, plan: RecordPlan, writing: Writing): Signals | undefined {
  const misfit = findMisfit(signals.gps, plan);
  if (misfit === undefined) return signals;
  const { gps, ...rest } = signals;
  const group = plan.nodes.find((node) => node.kind === 'group' && node.name === 'gps') as SignalNode & {
    kind: 'group';
  };
  for (const node of group.nodes) {
    const isTaken = node.kind === 'leaf' && !node.line.constant && gps?.[node.name as 'hdop'] !== undefined;
    if (isTaken) writing.found -= 1;
  }
  for (const line of linesOf(group.nodes)) writing.record.failed.set(line, 'rejected');
  for (const metric of Object.keys(writing.states ?? {}))
    if (metric.startsWith('gps.')) delete writing.states?.[metric];
  for (const metric of ['gps.latitude', 'gps.longitude']) setState(writing, metric, stateOf(misfit.code));
  writing.record.drops.push({ refused: 'group', misfit });
  return Object.keys(rest).length === 0 ? undefined : rest;
}

function findMisfit(gps: Signals['gps'], plan: RecordPlan): Misfit | undefined {
  if (gps === undefined) return undefined;
  const { latitude, longitude } = gps;
  const place: Place = { pointer: `${plan.pointer}/signals/gps.latitude`, expression: '' };
  const found = `latitude ${latitude ?? 'missing'}, longitude ${longitude ?? 'missing'}`;
  if ((latitude == null) !== (longitude == null)) {
    return new Misfit('position-incomplete', place, found, 'expected latitude and longitude together');
  }
  if (latitude == null || longitude == null) return undefined;
  if (Math.abs(latitude) >= NULL_ISLAND_DEG || Math.abs(longitude) >= NULL_ISLAND_DEG) return undefined;
  return new Misfit(
    'position-implausible',
    place,
    found,
    'expected a position other than 0, 0, which a receiver reports without a fix',
  );
}
