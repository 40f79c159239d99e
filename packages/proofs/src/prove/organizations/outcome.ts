import type { Report } from '../../rig/report.ts';
import { formatTable, round } from '../../rig/table.ts';
import type { House } from './furnish.ts';
import type { Secrets } from './judge.ts';
import type { Operation } from './operations.ts';
import type { PayloadOutcome } from './payloads.ts';
import type { Victim } from './probes.ts';
import type { Findings } from './run-probes.ts';

/** What the proof works with and what it has found, for its report. */
export interface Pass {
  readonly name: string;
  readonly hasFirstWall: boolean;
  readonly hasSecondWall: boolean;
}

export interface World {
  readonly operations: readonly Operation[];
  readonly unknown: readonly string[];
  readonly houses: readonly House[];
  readonly root: string;
  readonly secretsOf: (house: House, victim: Victim) => Secrets;
}

export interface Outcome {
  readonly pass: Pass;
  readonly findings: Findings;
  /** Routes that answered nobody with 2xx; looked for in the first pass. */
  readonly unreached: readonly string[];
  /** Callers whose credential died under the probes. */
  readonly lostCallers: readonly string[];
  /** In the first pass. */
  readonly payloads: PayloadOutcome | null;
  readonly streams: number;
  readonly records: number;
  readonly seconds: number;
}

export function toReport(world: World, outcomes: readonly Outcome[], seed: number): Report {
  const [shipped, alone, control] = outcomes as [Outcome, Outcome, Outcome];
  const { operations, unknown } = world;
  const uncovered = [
    ...unknown,
    ...operations.filter(({ id }) => !isCovered(id, shipped.findings)).map(({ id }) => `${id}: not probed`),
    ...shipped.unreached,
  ];
  const table = formatTable([
    ['pass', 'probes', 'twins', 'leaks', 'routes', 'streams', 'records', 'seconds'],
    ...outcomes.map(({ pass, findings, streams, records, seconds }) => [
      pass.name,
      findings.probes,
      findings.twins,
      findings.leaks,
      findings.probed.size,
      streams,
      records,
      round(seconds),
    ]),
  ]);
  const words = [
    `Seed ${seed}. ${operations.length} routes x ${world.houses.map(({ callers }) => callers.length).join(' + ')} callers of three organizations.`,
    `Statuses as shipped: ${[...shipped.findings.statuses]
      .sort(([one], [other]) => one - other)
      .map(([code, times]) => `${code} x ${times}`)
      .join(', ')}.`,
    `Spoilt payloads that name vehicles of two organizations: ${shipped.payloads?.payloads}, of which ${shipped.payloads?.refused} were refused at the door; ${shipped.payloads?.readings} readings are known by their number, looked up at their vehicles.`,
    ...outcomes.slice(0, 2).flatMap(({ pass, findings }) => findings.examples.map((text) => `${pass.name}: ${text}`)),
    ...uncovered.map((text) => `Not covered: ${text}`),
    ...[...shipped.lostCallers, ...alone.lostCallers].map((text) => `Lost its credential: ${text}`),
    `With both walls down, for one: ${control.findings.examples[0] ?? 'nothing was found'}`,
  ];
  const none = (name: string, figure: number) => ({ name, figure, goal: '0', isMet: figure === 0 });
  const sum = (read: (outcome: Outcome) => number) => read(shipped) + read(alone);
  const limited = sum(({ findings }) => findings.limited);
  const failures = sum(({ findings }) => findings.failures);
  const lost = sum(({ lostCallers }) => lostCallers.length);
  return {
    name: 'tenants',
    text: `${table}\n\n${words.join('\n')}`,
    figures: {
      probes: shipped.findings.probes,
      leaks: shipped.findings.leaks,
      probesRowSecurityAlone: alone.findings.probes,
      leaksRowSecurityAlone: alone.findings.leaks,
      payloads: shipped.payloads?.payloads ?? 0,
      readings: shipped.payloads?.readings ?? 0,
      leaksBothWallsDown: control.findings.leaks,
      routes: operations.length,
      routesNotCovered: uncovered.length,
      streams: shipped.streams + alone.streams,
      limited,
      failures,
      seed,
      seconds: round(outcomes.reduce((total, { seconds }) => total + seconds, 0)),
    },
    goals: [
      none('leaks as shipped', shipped.findings.leaks),
      none('leaks with row-level security alone', alone.findings.leaks),
      // One for each way a leak shows: what could not be found then would not be found ever.
      ...(['shown', 'different', 'changed'] as const).map((kind) => {
        const figure = control.findings.kinds[kind];
        return { name: `leaks with both walls down: ${kind}`, figure, goal: '> 0', isMet: figure > 0 };
      }),
      {
        name: 'a reading planted at another vehicle is seen',
        figure: shipped.payloads?.isControlFound ? 1 : 0,
        goal: '1',
        isMet: shipped.payloads?.isControlFound === true,
      },
      {
        name: 'readings known by their number, of 100 spoilt payloads',
        figure: Math.round((100 * (shipped.payloads?.readings ?? 0)) / (shipped.payloads?.payloads || 1)),
        goal: '>= 20',
        isMet: (shipped.payloads?.readings ?? 0) >= 0.2 * (shipped.payloads?.payloads ?? 1),
      },
      none('routes not covered', uncovered.length),
      none('callers that lost their credential', lost),
      none('answers of 5xx', failures),
      none('answers of 429, which prove nothing', limited),
    ],
  };
}

function isCovered(id: string, findings: Findings): boolean {
  return findings.probed.has(id) || /\/(sign-out|password|rotate)$/.test(id);
}
