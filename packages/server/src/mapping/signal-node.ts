import type { States } from '@gladhand/contract/record.ts';
import type { ListTarget } from '@gladhand/contract/signal-target.ts';
import type { Expression } from './expression.ts';
import type { Read } from './expression-use.ts';
import type { LeafState } from './leaves.ts';
import type { Misfit, Place } from './misfit.ts';
import type { Scope } from './path.ts';
import type { ReadPlan } from './read-plan.ts';

/** Why a signal is null. It is a class so that no value of a payload can be mistaken for it. */
export class SignalState {
  readonly state: 'notAvailable' | 'error';
  constructor(state: 'notAvailable' | 'error') {
    this.state = state;
  }
}
export const NOT_AVAILABLE = new SignalState('notAvailable');
export const DEVICE_ERROR = new SignalState('error');

/** Reads the value of a line. Undefined leaves the signal out, and a state makes it null. Throws `Misfit`. */
export type LeafReader = (scope: Scope) => number | string | boolean | SignalState | undefined;

/** A compiled signal line. It gives one value. */
export interface Line {
  readonly read: LeafReader;
  /** True if it reads nothing of the payload. A record or element with only constant lines is not written. */
  readonly constant: boolean;
  /** The value, if the line is a literal. */
  readonly literal?: unknown;
  /** The paths that it reads from the payload. */
  readonly reads: readonly Read[];
  readonly plan: ReadPlan;
  /** True if its table or expression may leave out a value that is present. */
  readonly mayLeaveOut: boolean;
  /** Whether the payload has an input for it. Set if the line may give a value without any input. */
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
  /** Set if the elements come from a list in the payload. `elements` then has one entry. */
  readonly loop?: {
    readonly as: string;
    readonly list: Expression;
    /** True if the list is the same for every element of the loop around the record. */
    readonly isOuter: boolean;
    readonly listPlace: Place;
    readonly when?: Expression;
    readonly whenPlace: Place;
  };
}

export interface ElementPlan {
  readonly place: Place;
  /** The lines of the identity keys that are mapped, by key name. */
  readonly identity: ReadonlyMap<string, Line>;
  readonly nodes: readonly SignalNode[];
  /** Writes the nodes into an element that already has its identity keys. */
  write(scope: Scope, prefix: string, writing: Writing, into: Values): void;
  /** Every line of the element. */
  readonly lines: readonly Line[];
  /** Everything that the lines and `when` of an element read. */
  readonly whole: ReadPlan;
}

/** The state of writing the signals of one record, or of one element of its lists. */
export interface Writing {
  states: States | undefined;
  /** The number of lines that took a value from the payload. */
  found: number;
  readonly record: RecordWriting;
}

/** The part of the state that all elements of a record share. */
export interface RecordWriting {
  /** Parts that did not fit and were left out of the record. */
  readonly drops: Drop[];
  /** Lines of this record or element whose leaves were not taken. The plan of the device's clock may be among them. */
  readonly failed: Map<object, LeafState>;
  /** List elements. Their leaves are marked once it is known whether the record is taken or rejected. */
  readonly elements: ElementReads[];
  /** Empty lists of the payload that count as a value: they say that no alarm or fault is active. */
  readonly statements: object[];
  /** Objects of the payload that stand where a list is expected. */
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

/** Every line of these nodes, also of list elements that are written one by one. Lines of loops over a list are not included. */
export function linesOf(nodes: readonly SignalNode[]): Line[] {
  return nodes.flatMap((node) => {
    if (node.kind === 'leaf') return [node.line];
    if (node.kind === 'group') return linesOf(node.nodes);
    return node.plan.loop === undefined ? node.plan.elements.flatMap((element) => element.lines) : [];
  });
}
