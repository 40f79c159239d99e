import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import type { LeavesBody, RefusedPart } from '@gladhand/contract/intake.ts';
import type { States } from '@gladhand/contract/record.ts';
import type { Signals } from '@gladhand/contract/signals.ts';

/** One record mapped from an envelope, as plain data. The record id and position are assigned later, when it is stored. */
export interface MappedRecord {
  /** The asset of the record: a normalised VIN, or the plant of the request path. */
  readonly assetRef: AssetRef;
  readonly device?: { readonly externalId: string; readonly kind: string };
  /** Milliseconds since the epoch, as are all `...AtMs`. */
  readonly observedAtMs: number;
  readonly deviceAtMs?: number;
  /** If true, two records that differ only in `deviceAtMs` are two records. */
  readonly isIdentifiedByDeviceAt?: true;
  readonly signals: Signals;
  readonly states?: States;
}

/** One part of a payload that could not be mapped, and why. It does not affect the parts around it. */
export interface Reject {
  readonly refused: RefusedPart;
  /** The number of the record in the payload, from 0, in the order of the mapping document. Rejected records count too. */
  readonly record: number;
  readonly code: RejectCode;
  /** JSON Pointer (RFC 6901) into the mapping document: the line that failed. */
  readonly pointer: string;
  /** JSON Pointer into the payload: the element that the record was made from. Absent if it is not at one place. */
  readonly element?: string;
  /** The CEL expression that failed or gave the value. Empty if the line has none. */
  readonly expression: string;
  /** What was found, shortened to `FOUND_LENGTH_MAX` characters. */
  readonly found: string;
  /** What was expected, in a sentence. */
  readonly detail: string;
}

/** A code never changes its meaning and is never removed, as in the error registry. */
export const REJECT_CODES = [
  'wrong-type',
  'out-of-bounds',
  'value-not-allowed',
  'value-not-in-table',
  'text-not-storable',
  'unit-unknown',
  'expression-failed',
  'asset-missing',
  'vin-invalid',
  'vin-check-failed',
  'observed-at-missing',
  'observed-at-out-of-range',
  'device-at-out-of-range',
  'timestamp-invalid',
  'timestamp-without-zone',
  'identity-missing',
  'element-duplicate',
  'no-signals',
  'nothing-taken',
  'position-incomplete',
  'position-implausible',
  'all-bits-set',
  'number-too-large',
  'too-much-work',
  'too-many-records',
  'too-many-elements',
  'decode-failed',
  'mapping-failed',
  'storing-failed',
  'product-missing',
  'not-a-plant',
] as const;
export type RejectCode = (typeof REJECT_CODES)[number];

/** A payload, and the asset of the request path. */
export type MappingInput = AssetRef & {
  /** The JSON body, as readJson gives it. */
  readonly payload: unknown;
  readonly receivedAtMs: number;
};

export interface MappingOutcome {
  readonly records: MappedRecord[];
  readonly rejects: Reject[];
  /** Elements that every `when` of the mapping left out. */
  readonly skipped: number;
  /** The number of all rejects. `rejects` holds the first `REJECTS_TOLD_MAX` of them. */
  readonly rejectsTotal: number;
  /** The counts of the payload's leaves by outcome. */
  readonly leaves: LeavesBody;
  /** True if the records depend on `receivedAtMs`: the same payload received later would give other records. */
  readonly dependsOnArrival: boolean;
}

/** A mapping version that is ready to run. `run` is pure and deterministic, and never throws. */
export interface CompiledMapping {
  run(input: MappingInput): MappingOutcome;
}

export type CompileResult =
  | { readonly ok: true; readonly mapping: CompiledMapping }
  | { readonly ok: false; readonly errors: readonly FieldError[] };
