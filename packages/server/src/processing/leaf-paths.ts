import { hash } from 'node:crypto';
import { uuidFrom } from '@gladhand/base/ids.ts';
import type { LeavesBody } from '@gladhand/contract/intake.ts';

export interface LeafPaths {
  readonly id: string;
  readonly leftOut: readonly string[];
  readonly unused: readonly string[];
}

/** The paths of a receipt under an id made from what they are, or null when there are none to tell. */
export function leafPathsOf({ leftOutPaths: leftOut, unusedPaths: unused }: LeavesBody): LeafPaths | null {
  if (leftOut.length === 0 && unused.length === 0) return null;
  const digest = hash('sha256', JSON.stringify([leftOut, unused]), 'buffer');
  return { id: uuidFrom(0, digest), leftOut, unused };
}
