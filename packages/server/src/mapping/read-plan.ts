import type { EVERY, Read } from './expression-use.ts';
import type { Key, LeafState, Leaves } from './leaves.ts';
import { Misfit } from './misfit.ts';
import { readKey, type Scope, type Step } from './path.ts';

/**
 * The leaves that a record, or one element of its lists, reads. The paths of all its expressions are merged into one tree
 * at compile time, so that marking costs one entry for each container.
 */
export interface ReadPlan {
  readonly roots: ReadonlyMap<string, ReadNode>;
  /** Variables that are read without a step, such as the element of a list of texts. */
  readonly whole: ReadonlySet<string>;
}

interface ReadNode {
  /** Keys of all steps. A key before the last step counts too, because the payload may have a leaf there. */
  readonly keys: Set<Key>;
  readonly computed: Array<{ readonly step: Step & object; readonly node: ReadNode | undefined }>;
  readonly children: Map<Key, ReadNode>;
  every: ReadNode | undefined;
  /** True if a path ends with every element of this list. */
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

/** Marks every leaf that the plan reads from `scope`. Never throws. */
export function markReads(plan: ReadPlan, scope: Scope, leaves: Leaves, state: LeafState): void {
  for (const [root, node] of plan.roots) markNode(node, scope[root], scope, leaves, state);
}

/** Whether any of these paths has a value, so that the result comes from the payload. A list counts if it is not empty. */
export function isAnyPresent(reads: readonly Read[], scope: Scope): boolean {
  return reads.some(({ root, steps }) => isPresent(scope[root], steps, scope));
}

function isPresent(value: unknown, steps: Read['steps'], scope: Scope): boolean {
  const [step, ...rest] = steps;
  if (step === undefined) return value !== undefined && value !== null;
  if (typeof value !== 'object' || value === null) return false;
  if (typeof step === 'symbol') return Array.isArray(value) && value.length > 0;
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
  if (node.every === undefined || leaves.isWalked(node.every, value, state)) return;
  for (const element of value) markNode(node.every, element, scope, leaves, state);
}

function own(value: object, key: Key): unknown {
  return Object.hasOwn(value, key) ? (value as Record<Key, unknown>)[key] : undefined;
}

/** The key of a computed step. Undefined if it cannot be computed: marking must not throw. */
function keyOf(step: Step & object, scope: Scope): Key | undefined {
  try {
    return readKey(step, scope);
  } catch (error) {
    if (error instanceof Misfit) return undefined;
    throw error;
  }
}
