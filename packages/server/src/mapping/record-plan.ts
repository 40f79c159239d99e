import type { InstantFormat } from './document.ts';
import type { Expression } from './expression.ts';
import type { Place } from './misfit.ts';
import type { ReadPlan } from './read-plan.ts';
import type { Line, SignalNode } from './signal-node.ts';

/** A compiled record spec of a mapping document. */
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
  /** Every line in `nodes`. */
  readonly lines: readonly Line[];
  /** Record specs with the same key have the same lets, so their values are computed once. */
  readonly letsKey: string | undefined;
  /** Everything that the record reads, without signal lines and the device's clock. */
  readonly frame: ReadPlan;
  /** Everything that the record reads. */
  readonly whole: ReadPlan;
}

export interface LoopPlan {
  readonly as: string;
  readonly list: Expression;
  /** True if the list is the same for every element of the loop around it. */
  readonly isOuter: boolean;
  readonly place: Place;
  readonly reads: ReadPlan;
}

/** A name for a value. A missing value becomes null, and a path into null is a miss. */
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
  /** If true, two records that differ only in this clock are two records. */
  readonly identifies: boolean;
  readonly reads: ReadPlan;
}

export interface DevicePlan {
  readonly externalId: Expression;
  readonly kind: string;
  readonly place: Place;
}
