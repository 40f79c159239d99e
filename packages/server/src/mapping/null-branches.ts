import type { ASTNode } from '@marcbachmann/cel-js';

/**
 * Lets a mapping write `cond ? "open" : null` to leave a signal out. CEL refuses this, because both branches must have the
 * same type, and authors would then invent a value instead of null. So a null branch is replaced by `dyn(null)`, and the
 * type of the expression is the type of its other branch.
 */

/** Wraps each null branch in place. `wrapped` makes the `dyn(...)` node. Returns whether there was a null branch. */
export function wrapNullBranches(root: ASTNode, wrapped: (node: ASTNode) => ASTNode): boolean {
  let found = false;
  for (const node of nodesOf(root)) {
    if (node.op !== '?:') continue;
    for (const place of [1, 2] as const) {
      if (!isNull(node.args[place])) continue;
      node.args[place] = wrapped(node.args[place]);
      found = true;
    }
  }
  return found;
}

/** Replaces each `?:` that has a null branch by its other branch, in place. Returns the root, which may be a new node. */
export function pruneNullBranches(root: ASTNode): ASTNode {
  if (root.op === '?:') {
    const [, left, right] = root.args;
    if (isNull(left)) return pruneNullBranches(right);
    if (isNull(right)) return pruneNullBranches(left);
  }
  const args = root.args as unknown;
  if (Array.isArray(args)) replaceIn(args);
  return root;
}

function replaceIn(list: unknown[]): void {
  list.forEach((entry, place) => {
    if (Array.isArray(entry)) replaceIn(entry);
    else if (isNode(entry)) list[place] = pruneNullBranches(entry);
  });
}

export function* nodesOf(value: unknown): Generator<ASTNode> {
  if (Array.isArray(value)) {
    for (const entry of value) yield* nodesOf(entry);
  } else if (isNode(value)) {
    yield value;
    yield* nodesOf(value.args);
  }
}

export function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

function isNull(node: ASTNode): boolean {
  return node.op === 'value' && node.args === null;
}
