import { Misfit } from './misfit.ts';
import type { Scope } from './path.ts';
import { isAnyPresent } from './read-plan.ts';
import { type Line, type SignalNode, SignalState, type Values, type Writing } from './signal-node.ts';
import { setState, stateOf } from './signal-state.ts';
import { writeList } from './write-list.ts';

/**
 * Writes the signals of `nodes`. Returns them as an object, or undefined if there is no value. A value that does not fit is
 * left out: the record gets its state, and the receipt gets a reject. The other values are written.
 *
 * Throws `Misfit` only for a latitude or longitude that does not fit: then the whole record is rejected. A position that
 * is "not available" does not throw.
 */
export function writeNodes(
  nodes: readonly SignalNode[],
  scope: Scope,
  prefix: string,
  writing: Writing,
  into?: Values,
): Values | undefined {
  let out = into;
  for (const node of nodes) {
    let value: unknown;
    if (node.kind === 'leaf') value = readLine(node.line, scope, prefix + node.name, writing, node.isPosition);
    else if (node.kind === 'group') value = writeNodes(node.nodes, scope, `${prefix}${node.name}.`, writing);
    else value = writeList(node.plan, scope, prefix + node.name, writing);
    if (value !== undefined) (out ??= {})[node.name] = value;
  }
  return out;
}

function readLine(line: Line, scope: Scope, metric: string, writing: Writing, isPosition: boolean): unknown {
  let value: ReturnType<Line['read']>;
  try {
    value = line.read(scope);
  } catch (error) {
    if (!(error instanceof Misfit) || (isPosition && error.code !== 'all-bits-set')) throw error;
    return drop(error, line, metric, writing);
  }
  if (value === undefined) {
    if (line.mayLeaveOut && isAnyPresent(line.reads, scope)) writing.record.failed.set(line, 'leftOut');
    return undefined;
  }
  if (!line.constant && (line.isPresent === undefined || line.isPresent(scope))) writing.found += 1;
  if (!(value instanceof SignalState)) return value;
  setState(writing, metric, value.state);
  return null;
}

/** Adds a drop. Returns null for a value with all bits set, which means "not available", and undefined for any other. */
function drop(misfit: Misfit, line: Line, metric: string, writing: Writing): null | undefined {
  writing.record.drops.push({ refused: 'value', misfit });
  writing.record.failed.set(line, 'rejected');
  const state = stateOf(misfit.code);
  setState(writing, metric, state);
  if (state !== 'notAvailable') return undefined;
  writing.found += 1;
  return null;
}
