import type { SignalState as StateName } from '@gladhand/contract/record.ts';
import type { RejectCode } from './mapped-record.ts';
import type { Writing } from './signal-node.ts';

export function setState(writing: Writing, metric: string, state: StateName): void {
  (writing.states ??= {})[metric] = state;
}

const IMPLAUSIBLE: ReadonlySet<RejectCode> = new Set(['out-of-bounds', 'number-too-large', 'position-implausible']);

/** The state that a record shows for a part that was left out. */
export function stateOf(code: RejectCode): StateName {
  if (code === 'all-bits-set') return 'notAvailable';
  return IMPLAUSIBLE.has(code) ? 'implausible' : 'misfit';
}
