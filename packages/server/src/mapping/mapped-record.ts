import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import type { LeavesBody, RefusedPart } from '@gladhand/contract/intake.ts';
import type { States } from '@gladhand/contract/record.ts';
import type { Signals } from '@gladhand/contract/signals.ts';

/** What comes out of mapping one envelope. Plain data: no identity of ours yet, that is the mapper loop's work. */
export interface MappedRecord {
  /** Whose record it is: a normalised VIN, or the plant of the request path. */
  readonly assetRef: AssetRef;
  readonly device?: { readonly externalId: string; readonly kind: string };
  /** Milliseconds since the epoch, as are all `...AtMs`. */
  readonly observedAtMs: number;
  readonly deviceAtMs?: number;
  /** Two records that differ in nothing but `deviceAtMs` are two. */
  readonly isIdentifiedByDeviceAt?: true;
  readonly signals: Signals;
  readonly states?: States;
}

/** One part of a payload that could not be taken, and why. Nothing around it is touched by it. */
export interface Reject {
  readonly refused: RefusedPart;
  /** Which candidate of the payload, counted from 0 in the order of the mapping document. */
  readonly record: number;
  readonly code: RejectCode;
  /** RFC 6901, into the mapping document: the line that failed. */
  readonly pointer: string;
  /** RFC 6901, into the payload: the element the record was made from; absent where it is not one place. */
  readonly element?: string;
  /** The CEL expression that failed or gave the value; '' where the line has none. */
  readonly expression: string;
  /** What was found, shortened to `FOUND_LENGTH_MAX`. */
  readonly found: string;
  /** What was expected, in a sentence. */
  readonly detail: string;
}

/** Codes are forever, as in the error registry. */
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
  /** The first `REJECTS_TOLD_MAX` of them are in `rejects`. */
  readonly rejectsTotal: number;
  /** What became of every leaf of the payload. */
  readonly leaves: LeavesBody;
  /** `receivedAtMs` went into the records: the same bytes at another time would give others. */
  readonly dependsOnArrival: boolean;
}

/** A mapping version ready to run: pure, deterministic, never throws. */
export interface CompiledMapping {
  run(input: MappingInput): MappingOutcome;
}

export type CompileResult =
  | { readonly ok: true; readonly mapping: CompiledMapping }
  | { readonly ok: false; readonly errors: readonly FieldError[] };
