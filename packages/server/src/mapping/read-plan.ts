import type { EVERY, Read } from './expression-use.ts';
import type { Key, LeafState, Leaves } from './leaves.ts';
import { Misfit } from './misfit.ts';
import { readKey, type Scope, type Step } from './path.ts';

/**
 * Which leaves a record, or one element of a list of it, reads: the places of all its expressions, put together once by
 * the container they stand in. Marking then costs one entry for each container.
 */
export interface ReadPlan {
  readonly roots: ReadonlyMap<string, ReadNode>;
  /** Variables that are read themselves: the element of a list of texts or numbers. */
  readonly whole: ReadonlySet<string>;
}

interface ReadNode {
  /** Keys that are read: those at which a read ends, and those on its way, where there may be no container. */
  readonly keys: Set<Key>;
  readonly computed: Array<{ readonly step: Step & object; readonly node: ReadNode | undefined }>;
  readonly children: Map<Key, ReadNode>;
  every: ReadNode | undefined;
  /** Every element is read itself. */
  endsAtEvery: boolean;
}

export function createReadPlan(reads: readonly Read[]): ReadPlan {
  const roots = new Map<string, ReadNode>();
  const whole = new Set<string>();
  for (const { root, steps } of reads) {
    if (steps.length === 0) whole.add(root);
    else {
      let node = roots.get(root);
      if (node === undefined) roots.set(root, (node = createNode()));
      addRead(node, steps);
    }
  }
  return { roots, whole };
}

function createNode(): ReadNode {
  return { keys: new Set(), computed: [], children: new Map(), every: undefined, endsAtEvery: false };
}

function addRead(node: ReadNode, steps: Read['steps']): void {
  const [step, ...rest] = steps as [Step | typeof EVERY, ...Array<Step | typeof EVERY>];
  const isLast = rest.length === 0;
  if (typeof step === 'symbol') {
    if (isLast) node.endsAtEvery = true;
    else addRead((node.every ??= createNode()), rest);
  } else if (typeof step === 'object') {
    const next = isLast ? undefined : createNode();
    node.computed.push({ step, node: next });
    if (next !== undefined) addRead(next, rest);
  } else if (isLast) {
    node.keys.add(step);
  } else {
    node.keys.add(step);
    let child = node.children.get(step);
    if (child === undefined) node.children.set(step, (child = createNode()));
    addRead(child, rest);
  }
}

/** Marks every leaf that the plan reads from `scope`. */
export function markReads(plan: ReadPlan, scope: Scope, leaves: Leaves, state: LeafState): void {
  for (const [root, node] of plan.roots) markNode(node, scope[root], scope, leaves, state);
}

/** Whether any of these places has a value: then what an expression gives comes from the payload. */
export function isAnyPresent(reads: readonly Read[], scope: Scope): boolean {
  return reads.some(({ root, steps }) => isPresent(scope[root], steps, scope));
}

function isPresent(value: unknown, steps: Read['steps'], scope: Scope): boolean {
  const [step, ...rest] = steps;
  if (step === undefined) return value !== undefined && value !== null;
  if (typeof value !== 'object' || value === null) return false;
  if (typeof step === 'symbol') return Array.isArray(value) && value.some((element) => isPresent(element, rest, scope));
  const key = typeof step === 'object' ? keyOf(step, scope) : step;
  return key !== undefined && isPresent(own(value, key), rest, scope);
}

function markNode(node: ReadNode, value: unknown, scope: Scope, leaves: Leaves, state: LeafState): void {
  if (typeof value !== 'object' || value === null) return;
  if (node.keys.size > 0) leaves.mark(value, node.keys, state);
  for (const [key, child] of node.children) markNode(child, own(value, key), scope, leaves, state);
  for (const { step, node: next } of node.computed) {
    const key = keyOf(step, scope);
    if (key === undefined) continue;
    const inner = own(value, key);
    if (next !== undefined && typeof inner === 'object' && inner !== null) markNode(next, inner, scope, leaves, state);
    else if (inner !== undefined) leaves.mark(value, new Set([key]), state);
  }
  if (!Array.isArray(value)) return;
  if (node.endsAtEvery) leaves.mark(value, undefined, state);
  if (node.every !== undefined) for (const element of value) markNode(node.every, element, scope, leaves, state);
}

function own(value: object, key: Key): unknown {
  return Object.hasOwn(value, key) ? (value as Record<Key, unknown>)[key] : undefined;
}

/** Marking never fails: a key that cannot be computed leads nowhere. */
function keyOf(step: Step & object, scope: Scope): Key | undefined {
  try {
    return readKey(step, scope);
  } catch (error) {
    if (error instanceof Misfit) return undefined;
    throw error;
  }
}
