import type { States } from './record.ts';
import { findSignalTarget, type ListTarget, SIGNAL_TARGETS, type SignalTarget, signalPaths } from './signal-target.ts';
import type { Signals } from './signals.ts';

/** Metric names. A metric is the dotted path of one value in a record; list elements are named by their identity. */
export type MetricValue = number | string | boolean | null;

/**
 * Every metric of `signals` as [path, value]: `gps.speedKph`, `tires[1.left.outer].pressureKpa`,
 * `reefer.zones[1].setpointC`, `faults[j1939.sa11.spn629.fmi12].active`. Identity keys themselves are not metrics. A list
 * that states what is up has two more kinds: the number of elements (`reefer.alarms`: 1), and true for each element
 * (`reefer.alarms[63]`). The number is left out if `states` says that a part of the list could not be read.
 */
export function metricsOf(signals: Signals, states: States = {}): Array<[metric: string, value: MetricValue]> {
  const found: Array<[string, MetricValue]> = [];
  collectFields(signals as Readonly<Record<string, unknown>>, '', SIGNAL_TARGETS, states, found);
  return found;
}

/**
 * The name of a list element: its identity values joined by dots. The value of a key that may be absent has the name of the
 * key before it (`sa11`), so that two different elements never have the same name. Characters that have a meaning in a path
 * are percent-encoded.
 */
export function elementKey(target: ListTarget, element: Readonly<Record<string, unknown>>): string {
  let key = '';
  for (const { name, required, default: fallback } of target.identity) {
    const value = element[name] ?? fallback;
    if (value === undefined) continue;
    const label = required || fallback !== undefined ? '' : name;
    const text = typeof value === 'string' && !/^[\w-]*$/.test(value) ? encodeKey(value) : value;
    key += `${key === '' ? '' : '.'}${label}${text}`;
  }
  return key;
}

function encodeKey(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[.!~*'()]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function collectFields(
  values: Readonly<Record<string, unknown>>,
  prefix: string,
  targets: ReadonlyMap<string, SignalTarget>,
  states: States,
  found: Array<[string, MetricValue]>,
): void {
  for (const name in values) {
    const value = values[name];
    const target = targets.get(name);
    if (target === undefined || value === undefined) continue;
    if (target.kind === 'leaf') {
      if (!target.identity) found.push([prefix + name, value as MetricValue]);
    } else if (target.kind === 'group') {
      collectFields(value as Record<string, unknown>, `${prefix}${name}.`, target.fields, states, found);
    } else {
      const elements = value as ReadonlyArray<Record<string, unknown>>;
      if (target.isStated && states[prefix + name] === undefined) found.push([prefix + name, elements.length]);
      for (const element of elements) {
        const path = `${prefix}${name}[${elementKey(target, element)}]`;
        if (target.isStated) found.push([path, true]);
        collectFields(element, `${path}.`, target.fields, states, found);
      }
    }
  }
}

/** The paths of the lists that state what is up. Each is also a metric: the number of its elements. */
export const STATED_LISTS: readonly string[] = signalPaths().filter((path) => {
  const target = findSignalTarget(path);
  return target?.kind === 'list' && target.isStated;
});
