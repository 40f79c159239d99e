import type { InstantFormat } from './document.ts';
import type { Expression } from './expression.ts';
import type { Place } from './misfit.ts';
import type { ReadPlan } from './read-plan.ts';
import type { Line, SignalNode } from './signal-node.ts';

/** One record spec of a mapping document, compiled. */
export interface RecordPlan {
  readonly pointer: string;
  readonly loops: readonly LoopPlan[];
  readonly lets: readonly LetPlan[];
  readonly when?: { readonly expression: Expression; readonly place: Place; readonly usesLets: boolean };
  readonly asset?: { readonly expression: Expression; readonly place: Place };
  readonly device?: DevicePlan;
  readonly observedAt: InstantPlan;
  readonly deviceAt?: DeviceClockPlan;
  readonly nodes: readonly SignalNode[];
  /** Every line of them. */
  readonly lines: readonly Line[];
  /** Record specs without loops that have the same lets share them. */
  readonly letsKey: string | undefined;
  /** Everything that is read beside the lines of the signals and the device's clock. */
  readonly frame: ReadPlan;
  /** Everything that is read. */
  readonly whole: ReadPlan;
}

export interface LoopPlan {
  readonly as: string;
  readonly list: Expression;
  /** The same list for every element of the loop around it. */
  readonly isOuter: boolean;
  readonly place: Place;
  readonly reads: ReadPlan;
}

/** A name for a value; null where there is none, which makes what is read from it a miss. */
export interface LetPlan {
  readonly as: string;
  readonly expression: Expression;
}

export interface InstantPlan {
  readonly expression: Expression;
  readonly format: InstantFormat;
  readonly place: Place;
}

export interface DeviceClockPlan extends InstantPlan {
  /** Two records that differ in nothing but this clock are two readings. */
  readonly identifies: boolean;
  readonly reads: ReadPlan;
}

export interface DevicePlan {
  readonly externalId: Expression;
  readonly kind: string;
  readonly place: Place;
}
