import { elementKey } from '@gladhand/contract/metrics.ts';
import type { ListTarget } from '@gladhand/contract/signal-target.ts';
import { MAPPING_LIMITS } from './document.ts';
import type { LeafState } from './leaves.ts';
import { describe, Misfit } from './misfit.ts';
import { passesWhen } from './passes-when.ts';
import type { Scope } from './path.ts';
import type { ElementPlan, ListPlan, Values, Writing } from './signal-node.ts';
import { setState, stateOf } from './signal-state.ts';
import { countOuter } from './work-limit.ts';

/**
 * Writes one list of a record. Returns its elements, or undefined if there are none. An element that does not fit is left
 * out and reported, and the other elements are written. A stated list (`x-stated`: alarms, faults) is written even if it is
 * empty: it then says that none is active.
 */
export function writeList(plan: ListPlan, scope: Scope, prefix: string, writing: Writing): Values[] | undefined {
  try {
    return plan.loop === undefined
      ? writeElements(plan, scope, prefix, writing)
      : writeLoop(plan, plan.loop, scope, prefix, writing);
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    writing.record.drops.push({ refused: 'group', misfit: error });
    setState(writing, prefix, stateOf(error.code));
    return undefined;
  }
}

function writeElements(plan: ListPlan, scope: Scope, prefix: string, writing: Writing): Values[] | undefined {
  const out: Values[] = [];
  const seen = new Set<string>();
  for (const element of plan.elements) writeElement(plan, element, scope, prefix, writing, seen, out);
  return out.length === 0 ? undefined : out;
}

function writeLoop(
  plan: ListPlan,
  loop: NonNullable<ListPlan['loop']>,
  scope: Scope,
  prefix: string,
  writing: Writing,
): Values[] | undefined {
  const list = loop.list.evaluate(scope) ?? undefined;
  if (list === undefined) return undefined;
  if (!Array.isArray(list)) {
    if (typeof list === 'object') writing.record.refused.push(list);
    throw new Misfit('wrong-type', loop.listPlace, describe(list), 'expected a list');
  }
  if (list.length > MAPPING_LIMITS.elementsPerListMax) {
    const detail = `a list of a record has at most ${MAPPING_LIMITS.elementsPerListMax} elements`;
    throw new Misfit('too-many-elements', loop.listPlace, describe(list), detail);
  }
  if (loop.isOuter) countOuter(list.length, scope, loop.listPlace);
  const element = plan.elements[0]!;
  const out: Values[] = [];
  const seen = new Set<string>();
  let isIncomplete = false;
  list.forEach((item, index) => {
    scope[loop.as] = item;
    const failed = new Map<object, LeafState>();
    const inside: Writing = { states: undefined, found: 0, record: { ...writing.record, failed } };
    const state = writeWanted(plan, element, scope, prefix, inside, seen, out);
    isIncomplete ||= state === 'rejected' && !isRepeated(writing);
    writing.found += inside.found;
    takeStates(inside, writing);
    writing.record.elements.push({ plan: element, as: loop.as, list, index, state, failed });
  });
  // A rejected alarm or fault is active too, so a list without it must not look complete.
  if (plan.target.isStated && isIncomplete) setState(writing, plan.target.path, 'misfit');
  if (out.length > 0) return out;
  if (!plan.target.isStated || isIncomplete) return undefined;
  writing.found += 1;
  writing.record.statements.push(list);
  return out;
}

function writeWanted(
  plan: ListPlan,
  element: ElementPlan,
  scope: Scope,
  prefix: string,
  writing: Writing,
  seen: Set<string>,
  out: Values[],
): LeafState {
  const { when, whenPlace } = plan.loop!;
  try {
    if (when !== undefined && !passesWhen(when, whenPlace, scope)) return 'skipped';
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    writing.record.drops.push({ refused: 'element', misfit: error });
    return 'rejected';
  }
  return writeElement(plan, element, scope, prefix, writing, seen, out) ? 'taken' : 'rejected';
}

/**
 * Writes one element into `out`. Returns false if it does not fit, after adding a drop. An element without any value is
 * left out and not reported. In a stated list it is reported: it is active, and the list must not look empty.
 */
function writeElement(
  { target, loop }: ListPlan,
  plan: ElementPlan,
  scope: Scope,
  prefix: string,
  writing: Writing,
  seen: Set<string>,
  out: Values[],
): boolean {
  const values: Values = {};
  const inside: Writing = { states: undefined, found: 0, record: writing.record };
  let isNamed: boolean;
  try {
    isNamed = readIdentity(target, plan, scope, values);
    const key = elementKey(target, values);
    plan.write(scope, `${prefix}[${key}].`, inside, values);
    // In a stated list, an identity from the payload is a value: it says that this alarm or fault is active.
    if (target.isStated && isNamed && [...plan.identity.values()].some((line) => !line.constant)) inside.found += 1;
    const isStatement = target.isStated && loop !== undefined;
    if (inside.found === 0 && !isStatement) {
      if (isNamed) takeStates(inside, writing);
      return true;
    }
    if (!isNamed) {
      const detail = `an element of ${target.path} has no identity without ${missingKey(target, values)}`;
      throw new Misfit('identity-missing', plan.place, 'nothing', detail);
    }
    if (seen.has(key)) {
      throw new Misfit('element-duplicate', plan.place, key, `two elements of ${target.path} have the same identity`);
    }
    seen.add(key);
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    writing.record.drops.push({ refused: 'element', misfit: error });
    for (const line of plan.identity.values()) writing.record.failed.set(line, 'rejected');
    return false;
  }
  takeStates(inside, writing);
  writing.found += inside.found;
  out.push(values);
  return true;
}

/** Whether the last rejected element was a duplicate: its identity is in the list already. */
function isRepeated({ record }: Writing): boolean {
  return record.drops.at(-1)?.misfit.code === 'element-duplicate';
}

function takeStates(inside: Writing, writing: Writing): void {
  if (inside.states !== undefined) writing.states = { ...writing.states, ...inside.states };
}

/** Writes the identity keys into `values`. Returns whether all keys that the identity needs are present. */
function readIdentity(target: ListTarget, plan: ElementPlan, scope: Scope, values: Values): boolean {
  for (const key of target.identity) {
    const value = plan.identity.get(key.name)?.read(scope) ?? key.default;
    if (value !== undefined) values[key.name] = value;
  }
  return missingKey(target, values) === undefined;
}

function missingKey(target: ListTarget, values: Values): string | undefined {
  const missing = target.identity.find((key) => key.required && values[key.name] === undefined);
  if (missing !== undefined) return missing.name;
  const optional = target.identity.filter((key) => !key.required && key.default === undefined);
  return optional.length === 0 || optional.some((key) => values[key.name] !== undefined)
    ? undefined
    : optional[0]?.name;
}
