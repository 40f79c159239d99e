import type { States } from '@gladhand/contract/record.ts';
import type { ListTarget } from '@gladhand/contract/signal-target.ts';
import type { Expression } from './expression.ts';
import type { Read } from './expression-use.ts';
import type { LeafState } from './leaves.ts';
import type { Misfit, Place } from './misfit.ts';
import type { Scope } from './path.ts';
import type { ReadPlan } from './read-plan.ts';

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

/** One line of a mapping that gives one value. */
export interface Line {
  readonly read: LeafReader;
  /** Comes from no payload: a literal, or an expression of constants. It says nothing by itself. */
  readonly constant: boolean;
  /** The value, when it is a literal. */
  readonly literal?: unknown;
  /** What it reads of the payload. */
  readonly reads: readonly Read[];
  readonly plan: ReadPlan;
  /** May make nothing of a value that is there: its table or its expression leaves some out. */
  readonly mayLeaveOut: boolean;
  /** Set where a value may come about without any input: whether the payload had one. */
  readonly isPresent?: (scope: Scope) => boolean;
}

export type Values = Record<string, unknown>;

/** The signals of one record, as a tree in the shape of the result. */
export type SignalNode =
  | { readonly kind: 'leaf'; readonly name: string; readonly line: Line; readonly isPosition: boolean }
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
    /** The same list for every record of a loop. */
    readonly isOuter: boolean;
    readonly listPlace: Place;
    readonly when?: Expression;
    readonly whenPlace: Place;
  };
}

export interface ElementPlan {
  readonly place: Place;
  /** The identity keys that are mapped, by name. */
  readonly identity: ReadonlyMap<string, Line>;
  readonly nodes: readonly SignalNode[];
  /** Writes the nodes into an element, which has its identity already. */
  write(scope: Scope, prefix: string, writing: Writing, into: Values): void;
  /** Every line of it. */
  readonly lines: readonly Line[];
  /** What an element of a loop reads, all lines together. */
  readonly whole: ReadPlan;
}

/** Where the signals of one record, or of one element of a list of it, are being written. */
export interface Writing {
  states: States | undefined;
  /** How many lines took something from the payload. */
  found: number;
  readonly record: RecordWriting;
}

/** What belongs to the record as a whole. */
export interface RecordWriting {
  /** Parts that did not fit and were left out, while the record goes on. */
  readonly drops: Drop[];
  /** Lines (and the device's clock) whose leaves were not taken, in this record or element. */
  readonly failed: Map<object, LeafState>;
  /** Elements of lists, whose leaves are marked when the fate of the record is known. */
  readonly elements: ElementReads[];
  /** Empty lists of the payload that say that nothing is up. */
  readonly statements: object[];
  /** Containers of the payload that are no lists, where a list should be. */
  readonly refused: object[];
}

export interface Drop {
  readonly refused: 'value' | 'group' | 'element';
  readonly misfit: Misfit;
}

export interface ElementReads {
  readonly plan: ElementPlan;
  readonly as: string;
  readonly list: readonly unknown[];
  readonly index: number;
  readonly state: LeafState;
  readonly failed: ReadonlyMap<object, LeafState>;
}

/** Every line of these nodes, also those of elements that are written out; not those of loops over a list. */
export function linesOf(nodes: readonly SignalNode[]): Line[] {
  return nodes.flatMap((node) => {
    if (node.kind === 'leaf') return [node.line];
    if (node.kind === 'group') return linesOf(node.nodes);
    return node.plan.loop === undefined ? node.plan.elements.flatMap((element) => element.lines) : [];
  });
}
