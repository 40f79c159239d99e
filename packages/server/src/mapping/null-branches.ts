import type { ASTNode } from '@marcbachmann/cel-js';

/**
 * `cond ? "open" : null` leaves a signal out in so many words. CEL wants both branches of one type and refuses it, which
 * drives authors to invent a value. So a branch that is null is let through as `dyn(null)`, and what the whole
 * expression gives is told by its other branch.
 */

/** Wraps each branch that is null, in place; `wrapped` makes the node of `dyn(...)`. Tells whether there was one. */
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

/** Replaces each such expression by its other branch, in place; gives the root back, which may be another node then. */
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
