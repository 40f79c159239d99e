import { SIGNAL_GROUPS } from '@gladhand/contract/signals.ts';

/**
 * The groups a record has, as one integer: bit n stands for the n-th entry of the contract's list, whose order is
 * therefore fixed for ever (entries are only ever added). Bit 0 is `gps`.
 */
const BITS: ReadonlyMap<string, number> = new Map(SIGNAL_GROUPS.map((name, index) => [name as string, 1 << index]));

export function signalGroupBits(names: Iterable<string>): number {
  let bits = 0;
  for (const name of names) bits |= BITS.get(name) ?? 0;
  return bits;
}

export function isSignalGroup(name: string): boolean {
  return BITS.has(name);
}
