import { median } from '../../rig/table.ts';

/** Latencies of one customer in two rounds that belong together: without and with the load of another customer. */
export interface PairedRound {
  /** Latencies in ms. */
  readonly without: readonly number[];
  readonly with: readonly number[];
}

export interface Paired {
  readonly p99WithoutMs: number;
  readonly p99WithMs: number;
  readonly p50WithoutMs: number;
  readonly p50WithMs: number;
  /** By how many per cent the other load raises the 99th percentile: the median of the ratios of the rounds. */
  readonly movedPercent: number;
  /** The same ratio between two rounds without the other load, as an absolute value: the noise of the machine. */
  readonly noisePercent: number;
}

/** The smallest of `values` that is not below `share` of them (0 to 1). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function comparePaired(rounds: readonly PairedRound[]): Paired {
  const of = (read: (round: PairedRound) => readonly number[], share: number) =>
    rounds.map((round) => percentile(read(round), share));
  const without = of((round) => round.without, 0.99);
  const withIt = of((round) => round.with, 0.99);
  const drifts = without.slice(1).map((p99, place) => Math.abs(p99 / without[place]! - 1) * 100);
  return {
    p99WithoutMs: median(without),
    p99WithMs: median(withIt),
    p50WithoutMs: median(of((round) => round.without, 0.5)),
    p50WithMs: median(of((round) => round.with, 0.5)),
    movedPercent: (median(without.map((p99, place) => withIt[place]! / p99)) - 1) * 100,
    noisePercent: drifts.length === 0 ? 0 : median(drifts),
  };
}
