import type { Signals } from '@gladhand/contract/signals.ts';
import { Misfit, type Place } from './misfit.ts';
import type { RecordPlan } from './record-plan.ts';
import { linesOf, type SignalNode, type Writing } from './signal-node.ts';
import { setState, stateOf } from './signal-state.ts';

/** Receivers without a fix report 0, 0 or nearly so. The nearest coast is 500 km away, so no vehicle is ever there. */
const NULL_ISLAND_DEG = 0.1;

/**
 * A position is a pair, and 0, 0 is none. Where it is half or none, the whole gps group goes, since its speed and heading
 * come from the same receiver; the rest of the record stays. Gives the signals back, or undefined when nothing is left.
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
  return new Misfit('position-implausible', place, found, '0, 0 is what a receiver reports without a fix');
}
