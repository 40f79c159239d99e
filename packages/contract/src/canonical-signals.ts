import { elementKey } from './metrics.ts';
import { SIGNAL_TARGETS, type SignalTarget } from './signal-target.ts';
import type { Signals } from './signals.ts';

type Values = Readonly<Record<string, unknown>>;

/**
 * The same signals in one order: members as the schema lists them, elements of lists by their identity. What is measured
 * does not depend on the order in which a mapping writes it, so the identity of a record is taken from this form.
 */
export function canonicalSignals(signals: Signals): Signals {
  return orderMembers(signals as Values, SIGNAL_TARGETS) as Signals;
}

function orderMembers(values: Values, targets: ReadonlyMap<string, SignalTarget>): Values {
  const ordered: Record<string, unknown> = {};
  for (const [name, target] of targets) {
    const value = values[name];
    if (value === undefined) continue;
    if (target.kind === 'leaf') ordered[name] = value;
    else if (target.kind === 'group') ordered[name] = orderMembers(value as Values, target.fields);
    else {
      const elements = (value as readonly Values[]).map((element) => orderMembers(element, target.fields));
      ordered[name] = elements.length < 2 ? elements : elements.sort(byText((element) => elementKey(target, element)));
    }
  }
  return ordered;
}

function byText<Item>(textOf: (item: Item) => string): (one: Item, other: Item) => number {
  return (one, other) => {
    const [first, second] = [textOf(one), textOf(other)];
    return first < second ? -1 : first > second ? 1 : 0;
  };
}
