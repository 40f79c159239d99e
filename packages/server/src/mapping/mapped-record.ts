import type { FieldError } from '@gladhand/contract/errors.ts';
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
  readonly signals: Signals;
  readonly states?: States;
}

export type AssetRef = { readonly vin: string } | { readonly plantId: string };

/** One record that could not be made, and why. The other records of the payload are not touched by it. */
export interface Reject {
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
  'timestamp-invalid',
  'timestamp-without-zone',
  'identity-missing',
  'element-duplicate',
  'no-signals',
  'too-many-records',
  'too-many-elements',
  'decode-failed',
  'mapping-failed',
  'storing-failed',
  'product-missing',
] as const;
export type RejectCode = (typeof REJECT_CODES)[number];

export interface MappingInput {
  /** The parsed JSON body. */
  readonly payload: unknown;
  /** The asset of the request path: exactly one of the two. */
  readonly vin?: string;
  readonly plantId?: string;
  readonly receivedAtMs: number;
}

export interface MappingOutcome {
  readonly records: MappedRecord[];
  readonly rejects: Reject[];
  /** Candidates that a `when` of the mapping left out. */
  readonly skipped: number;
}

/** A mapping version ready to run: pure, deterministic, never throws. */
export interface CompiledMapping {
  run(input: MappingInput): MappingOutcome;
}

export type CompileResult =
  | { readonly ok: true; readonly mapping: CompiledMapping }
  | { readonly ok: false; readonly errors: readonly FieldError[] };
