import type { RefusedPart } from '@gladhand/contract/intake.ts';
import { accountForPack, decodeSenml } from './decode-senml.ts';
import type { ProductRules } from './document.ts';
import type { Leaves } from './leaves.ts';
import type { MappingInput } from './mapped-record.ts';

/** A payload after its product's decode step. This is what the mapping reads. */
export interface Decoded {
  /** Undefined if the whole payload is refused. */
  readonly payload: unknown;
  readonly faults: readonly DecodeFault[];
  /** True if the decoded payload depends on `receivedAt`. */
  readonly dependsOnArrival: boolean;
  /** Copies the marks from the decoded payload to the leaves of the payload that was sent. Call it after mapping. */
  account(leaves: Leaves): void;
}

export interface DecodeFault {
  readonly refused: RefusedPart;
  /** JSON Pointer into the payload that was sent. */
  readonly element: string;
  readonly found: string;
  readonly detail: string;
}

/** Runs the product's decode step. Returns undefined if the product has none. */
export function decodePayload(steps: ProductRules['decode'], input: MappingInput): Decoded | undefined {
  if (steps === undefined || steps.length === 0) return undefined;
  const { items, faults, entries, dependsOnArrival } = decodeSenml(input.payload, input.receivedAtMs);
  return {
    payload: items,
    faults,
    dependsOnArrival,
    account: (leaves) => accountForPack(input.payload as unknown[], entries, leaves),
  };
}
