import { loadavg } from 'node:os';
import { atMost, say } from '../../rig/report.ts';
import { formatTable, round } from '../../rig/table.ts';
import type { Cluster } from './cluster.ts';
import { countStatuses, getRequest, type Hammer, type Hammered, placesWith } from './hammer.ts';
import { editPlan } from './limit-settings.ts';
import { comparePaired, type PairedRound } from './paired-rounds.ts';
import { none, type Part } from './part.ts';

/**
 * One customer sends a hundred times its quota. The latency of another customer is compared with and without that load.
 * Rounds alternate (without, with, with, without), so that other load on the machine affects both alike.
 */
export interface IsolationOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
}

/** The noisy customer's plan: requests per second. */
const QUOTA_PER_SECOND = 5;
const TIMES_QUOTA = 100;
const QUIET_PER_SECOND = 100;
const QUIET_CONNECTIONS = 16;
const NOISY_CONNECTIONS = 32;
const MOVED_PERCENT_MAX = 20;
const WARM_UP_MS = 2_000;

export async function proveIsolation(
  cluster: Cluster,
  hammers: readonly [Hammer, Hammer],
  options: IsolationOptions,
): Promise<Part> {
  await editPlan(cluster, 'noisy', {
    readCapacity: QUOTA_PER_SECOND,
    readRefillPerSecond: QUOTA_PER_SECOND,
    concurrentRequestsMax: 4,
  });
  await editPlan(cluster, 'quiet', {});
  const [quiet, noisy] = hammers;
  const pages = async (customer: string) => {
    const token = await cluster.tokenOf({ customer });
    const { fleetId } = cluster.installation.customers[customer]!;
    return [getRequest(`/api/v1/trailers/${fleetId}?take=50`, token)];
  };
  const [quietRequests, noisyRequests] = [await pages('quiet'), await pages('noisy')];
  const all: Hammered[] = [];
  const noise: Hammered[] = [];
  const run = async (withNoise: boolean, ms: number): Promise<number[]> => {
    const fromMs = Date.now() + 100;
    const span = { ports: cluster.ports, fromMs, untilMs: fromMs + ms };
    const order = (requests: readonly Uint8Array[], connections: number, perSecond: number) => ({
      ...span,
      requests,
      connections,
      pace: { kind: 'open', perSecond, patienceMs: 1_000 } as const,
    });
    const [calm, loud] = await Promise.all([
      quiet.run(order(quietRequests, QUIET_CONNECTIONS, QUIET_PER_SECOND)),
      withNoise ? noisy.run(order(noisyRequests, NOISY_CONNECTIONS, QUOTA_PER_SECOND * TIMES_QUOTA)) : undefined,
    ]);
    all.push(calm);
    if (loud !== undefined) noise.push(loud);
    return placesWith(calm, 200).map((place) => calm.answeredMs[place]! - calm.dueMs[place]!);
  };
  say('isolation: warming up');
  await run(false, WARM_UP_MS);
  await run(true, WARM_UP_MS);
  [all.length, noise.length] = [0, 0];
  const rounds: PairedRound[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    say(`isolation: round ${round + 1} of ${options.rounds}`);
    const ms = options.secondsPerRound * 1000;
    const order = round % 2 === 0 ? [false, true] : [true, false];
    const found = new Map<boolean, number[]>();
    for (const withNoise of order) found.set(withNoise, await run(withNoise, ms));
    rounds.push({ without: found.get(false)!, with: found.get(true)! });
  }
  const paired = comparePaired(rounds);
  const [calmAnswers, loudAnswers] = [countStatuses(all), countStatuses(noise)];
  const wrong = Object.entries(calmAnswers).reduce((sum, [code, count]) => (code === '200' ? sum : sum + count), 0);
  const wrongLoud = Object.entries(loudAnswers).reduce(
    (sum, [code, count]) => (/^(200|429)$/.test(code) ? sum : sum + count),
    0,
  );
  const seconds = options.rounds * options.secondsPerRound;
  const asked = noise.reduce((sum, { status }) => sum + status.length, 0) / seconds;
  const let_ = (loudAnswers['200'] ?? 0) / seconds;
  const load = round(loadavg()[0]!, 1);
  const text = [
    formatTable([
      ['the quiet customer', 'p50 ms', 'p99 ms'],
      ['alone', round(paired.p50WithoutMs, 2), round(paired.p99WithoutMs, 2)],
      [`beside ${TIMES_QUOTA} x the quota`, round(paired.p50WithMs, 2), round(paired.p99WithMs, 2)],
    ]),
    `Medians of ${options.rounds} rounds of ${options.secondsPerRound} s; ${QUIET_PER_SECOND} pages/s of the quiet customer, measured from when each was due. The noisy customer's quota is ${QUOTA_PER_SECOND}/s. It sent ${round(asked)}/s, and ${round(let_, 1)}/s were admitted.`,
    `p99 changed by ${round(paired.movedPercent, 1)} % (median of the rounds); two rounds without the neighbour differ by ${round(paired.noisePercent, 1)} % (median), at a load average of ${load}.`,
  ].join('\n');
  return {
    title: `isolation: ${cluster.nodes.length} node${cluster.nodes.length > 1 ? 's' : ''}`,
    text,
    figures: {
      movedPercent: round(paired.movedPercent, 1),
      noisePercent: round(paired.noisePercent, 1),
      p99WithoutMs: round(paired.p99WithoutMs, 2),
      p99WithMs: round(paired.p99WithMs, 2),
      p50WithoutMs: round(paired.p50WithoutMs, 2),
      p50WithMs: round(paired.p50WithMs, 2),
      noisyAskedPerSecond: round(asked),
      noisyAdmittedPerSecond: round(let_, 1),
      loadAverage: load,
    },
    goals: [
      atMost('isolation: change of the other customer’s p99, %', round(paired.movedPercent, 1), MOVED_PERCENT_MAX),
      {
        name: 'isolation: load of the noisy customer, times its quota',
        figure: round(asked / QUOTA_PER_SECOND),
        goal: '>= 95',
        isMet: asked / QUOTA_PER_SECOND >= 95,
      },
      none('isolation: answers to the quiet customer other than 200', wrong),
      none('isolation: answers to the noisy customer that are neither 200 nor 429', wrongLoud),
    ],
  };
}
