import { median } from '../../rig/table.ts';

/** What a neighbour does to somebody's latency, from rounds that alternate: without it, with it, with it, without it. */
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
  /** How much higher the 99th percentile is with the neighbour: median of the rounds' own ratios, in per cent. */
  readonly movedPercent: number;
  /** The same between rounds that both were without it, by absolute value: what the machine moves by itself. */
  readonly noisePercent: number;
}

/** The smallest value that at least `share` of the values do not exceed. */
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
