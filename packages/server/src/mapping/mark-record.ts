import { isLeaf, type LeafState, type Leaves } from './leaves.ts';
import type { Scope } from './path.ts';
import { markReads, type ReadPlan } from './read-plan.ts';
import type { RecordPlan } from './record-plan.ts';
import type { ElementReads, Line, RecordWriting } from './signal-node.ts';

/** The current element of each loop around a record, outermost loop first. */
export type Nest = Array<Cell & { readonly as: string }>;

export interface Cell {
  readonly list: readonly unknown[];
  readonly index: number;
}

/** An element that a `when` leaves out, and its place in its list. */
export interface Skipped {
  readonly element: unknown;
  readonly cell: Cell | undefined;
}

/**
 * Marks the leaves that a record reads. If some of its lines failed, the leaves of each line get that line's state.
 * Otherwise all leaves get `state` at once. If the record is rejected, the elements of its lists are rejected too.
 */
export function markRecord(
  plan: RecordPlan,
  scope: Scope,
  nest: Nest,
  leaves: Leaves,
  state: LeafState,
  writing?: RecordWriting,
): void {
  markCells(plan.whole, nest, leaves, state);
  for (const list of writing?.statements ?? []) leaves.keepStatement(list);
  for (const container of writing?.refused ?? []) leaves.markInside(container, 'rejected');
  if (state === 'rejected' || writing === undefined || writing.failed.size === 0) {
    markReads(plan.whole, scope, leaves, state);
  } else {
    markReads(plan.frame, scope, leaves, state);
    markLines(plan.lines, writing.failed, scope, leaves, state);
    if (plan.deviceAt !== undefined)
      markReads(plan.deviceAt.reads, scope, leaves, writing.failed.get(plan.deviceAt) ?? state);
  }
  for (const element of writing?.elements ?? []) {
    const isRefused = state === 'rejected' && element.state === 'taken';
    markElement(isRefused ? { ...element, state } : element, scope, leaves);
  }
}

/** Marks everything in an element that a `when` leaves out. */
export function markSkipped({ element, cell }: Skipped, leaves: Leaves): void {
  if (typeof element === 'object' && element !== null) leaves.markInside(element, 'skipped');
  else if (cell !== undefined) leaves.markCell(cell.list, cell.index, 'skipped');
}

function markElement({ plan, as, list, index, state, failed }: ElementReads, scope: Scope, leaves: Leaves): void {
  const element = list[index];
  scope[as] = element;
  if (state === 'rejected' || plan.whole.whole.has(as)) leaves.markCell(list, index, state);
  if (state === 'skipped') markSkipped({ element, cell: { list, index } }, leaves);
  else if (failed.size === 0 || state === 'rejected') markReads(plan.whole, scope, leaves, state);
  else markLines(plan.lines, failed, scope, leaves, state);
}

function markLines(
  lines: readonly Line[],
  failed: ReadonlyMap<object, LeafState>,
  scope: Scope,
  leaves: Leaves,
  state: LeafState,
): void {
  for (const line of lines) markReads(line.plan, scope, leaves, failed.get(line) ?? state);
}

/** Marks loop elements that are leaves themselves, such as texts or numbers. A rejected element is marked in any case. */
function markCells(plan: ReadPlan, nest: Nest, leaves: Leaves, state: LeafState): void {
  for (const { as, list, index } of nest) {
    if (isLeaf(list[index]) && (state === 'rejected' || plan.whole.has(as))) leaves.markCell(list, index, state);
  }
}
