import type { RefusedPart } from '@gladhand/contract/intake.ts';
import { accountForPack, decodeSenml } from './decode-senml.ts';
import type { ProductRules } from './document.ts';
import type { Leaves } from './leaves.ts';
import type { MappingInput } from './mapped-record.ts';

/** A payload after the decode step of its product: what the mapping sees of it. */
export interface Decoded {
  /** Undefined when the whole payload is refused. */
  readonly payload: unknown;
  readonly faults: readonly DecodeFault[];
  /** The same bytes at another time would be decoded to something else. */
  readonly dependsOnArrival: boolean;
  /** Carries what was marked in the decoded payload over to the leaves that were sent. Call it after mapping. */
  account(leaves: Leaves): void;
}

export interface DecodeFault {
  readonly refused: RefusedPart;
  /** JSON Pointer into the payload that was sent. */
  readonly element: string;
  readonly found: string;
  readonly detail: string;
}

/** Undefined for a product without a decode step. */
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
