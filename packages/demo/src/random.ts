/**
 * Repeatable random numbers for the demo. The same seed gives the same world on every machine and at every start. `noiseAt`
 * and `chanceAt` depend on their arguments alone, so that a restarted demo continues where it stopped. Do not use it for
 * secrets: all numbers follow from the seed.
 */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A number in [low, high). */
  between(low: number, high: number): number;
  /** A whole number in [low, high]. */
  integer(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
}

/** The mulberry32 generator (Tommy Ettinger, public domain). Its 32 bits of state are enough for a few thousand numbers. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (low, high) => low + (high - low) * next(),
    integer: (low, high) => low + Math.floor((high - low + 1) * next()),
    pick: (items) => items[Math.floor(items.length * next())]!,
  };
}

/** Makes a seed from words and numbers: FNV-1a, 32 bits, with a final avalanche so that similar inputs differ in all bits. */
export function seedOf(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  const text = parts.join('\u0000');
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return avalanche(hash);
}

/** A number in [0, 1) that depends only on `seed` and the integer `index`. */
export function chanceAt(seed: number, index: number): number {
  return avalanche(seed ^ Math.imul(index | 0, 0x9e3779b1)) / 2 ** 32;
}

/** Smooth noise in [-1, 1]: a random value at each integer `x`, with smooth interpolation between them. */
export function noiseAt(seed: number, x: number): number {
  const left = Math.floor(x);
  const part = x - left;
  const from = chanceAt(seed, left);
  const to = chanceAt(seed, left + 1);
  return 2 * (from + (to - from) * part * part * (3 - 2 * part)) - 1;
}

function avalanche(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
