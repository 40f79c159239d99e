import { elementKey } from '@gladhand/contract/metrics.ts';
import type { ListTarget } from '@gladhand/contract/signal-target.ts';
import { MAPPING_LIMITS } from './document.ts';
import type { Expression } from './expression.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import type { Scope } from './path.ts';

/** Why a leaf is null. A class of its own, so that no value of a payload can be mistaken for it. */
export class SignalState {
  readonly state: 'notAvailable' | 'error';
  constructor(state: 'notAvailable' | 'error') {
    this.state = state;
  }
}
export const NOT_AVAILABLE = new SignalState('notAvailable');
export const DEVICE_ERROR = new SignalState('error');

/** What a leaf reader answers beside a value: undefined leaves it out, a state makes it null. Throws `Misfit`. */
export type LeafReader = (scope: Scope) => number | string | boolean | SignalState | undefined;

/** The signals of one record, as a tree of closures in the shape of the result. */
export type SignalNode =
  | { readonly kind: 'leaf'; readonly name: string; readonly read: LeafReader; readonly constant: boolean }
  | { readonly kind: 'group'; readonly name: string; readonly nodes: SignalNode[] }
  | { readonly kind: 'list'; readonly name: string; readonly plan: ListPlan };

export interface ListPlan {
  readonly target: ListTarget;
  readonly place: Place;
  readonly elements: readonly ElementPlan[];
  /** Set when the elements come from a list of the payload; then there is one ElementPlan. */
  readonly loop?: {
    readonly as: string;
    readonly list: Expression;
    readonly listPlace: Place;
    readonly when?: Expression;
  };
}

export interface ElementPlan {
  readonly place: Place;
  /** Readers of the identity keys that are mapped, by name. */
  readonly identity: ReadonlyMap<string, { readonly read: LeafReader; readonly constant: boolean }>;
  readonly nodes: readonly SignalNode[];
}

/** Collects what does not stand in the signals themselves. */
export interface Sink {
  states: Record<string, 'notAvailable' | 'error'> | undefined;
  /** Raised by every line that took something from the payload. */
  found: number;
}

type Values = Record<string, unknown>;

/** The object that `nodes` make of `scope`, or undefined when they found nothing. Throws `Misfit`. */
export function writeNodes(
  nodes: readonly SignalNode[],
  scope: Scope,
  prefix: string,
  sink: Sink,
  into?: Values,
): Values | undefined {
  let out = into;
  for (const node of nodes) {
    let value: unknown;
    if (node.kind === 'leaf') {
      value = node.read(scope);
      if (value !== undefined && !node.constant) sink.found += 1;
      if (value instanceof SignalState) {
        (sink.states ??= {})[prefix + node.name] = value.state;
        value = null;
      }
    } else if (node.kind === 'group') {
      value = writeNodes(node.nodes, scope, `${prefix}${node.name}.`, sink);
    } else {
      value = writeList(node.plan, scope, prefix + node.name, sink);
    }
    if (value !== undefined) (out ??= {})[node.name] = value;
  }
  return out;
}

function writeList(plan: ListPlan, scope: Scope, prefix: string, sink: Sink): Values[] | undefined {
  const { loop } = plan;
  const seen = new Set<string>();
  const out: Values[] = [];
  if (loop === undefined) {
    for (const element of plan.elements) writeElement(plan.target, element, scope, prefix, sink, seen, out);
    return out.length === 0 ? undefined : out;
  }
  const list = loop.list.evaluate(scope) ?? undefined;
  if (list === undefined) return undefined;
  if (!Array.isArray(list)) throw new Misfit('wrong-type', loop.listPlace, describe(list), 'expected a list');
  if (list.length > MAPPING_LIMITS.elementsPerListMax) {
    const detail = `a list of a record has at most ${MAPPING_LIMITS.elementsPerListMax} elements`;
    throw new Misfit('too-many-elements', loop.listPlace, describe(list), detail);
  }
  for (const item of list) {
    scope[loop.as] = item;
    if (loop.when !== undefined && loop.when.evaluate(scope) !== true) continue;
    for (const element of plan.elements) writeElement(plan.target, element, scope, prefix, sink, seen, out);
  }
  return out.length === 0 ? undefined : out;
}

function writeElement(
  target: ListTarget,
  plan: ElementPlan,
  scope: Scope,
  prefix: string,
  sink: Sink,
  seen: Set<string>,
  out: Values[],
): void {
  const element: Values = {};
  const foundBefore = sink.found;
  let missing: string | undefined;
  let optional = 0;
  for (const key of target.identity) {
    const reader = plan.identity.get(key.name);
    const value = reader?.read(scope);
    if (value !== undefined) {
      element[key.name] = value;
      if (reader?.constant === false) sink.found += 1;
      if (!key.required) optional += 1;
    } else if (key.default !== undefined) {
      element[key.name] = key.default;
    } else if (key.required) {
      missing ??= key.name;
    }
  }
  if (target.identity.some(isOptional) && optional === 0) missing ??= target.identity.filter(isOptional)[0]?.name;

  // A half-built name only ever prefixes states of an element that is then rejected.
  const key = elementKey(target, element);
  writeNodes(plan.nodes, scope, `${prefix}[${key}].`, sink, element);
  if (sink.found === foundBefore) return;
  if (missing !== undefined) {
    const detail = `an element of ${target.path} cannot be told apart without ${missing}`;
    throw new Misfit('identity-missing', plan.place, 'nothing', detail);
  }
  if (seen.has(key)) {
    throw new Misfit('element-duplicate', plan.place, key, `two elements of ${target.path} have the same identity`);
  }
  seen.add(key);
  out.push(element);
}

function isOptional(key: ListTarget['identity'][number]): boolean {
  return !key.required && key.default === undefined;
}
