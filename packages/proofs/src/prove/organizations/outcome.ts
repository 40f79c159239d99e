import type { Report } from '../../rig/report.ts';
import { formatTable, round } from '../../rig/table.ts';
import type { SampleOrganization } from './create-organization.ts';
import type { Secrets } from './find-leak.ts';
import type { Operation } from './operations.ts';
import type { PayloadOutcome } from './payloads.ts';
import type { Victim } from './probes.ts';
import type { Findings } from './run-probes.ts';

/** One pass of the proof and its results, for the report. */
export interface Pass {
  readonly name: string;
  readonly hasOrganizationCondition: boolean;
  readonly hasRowSecurity: boolean;
}

export interface World {
  readonly operations: readonly Operation[];
  readonly unknown: readonly string[];
  readonly samples: readonly SampleOrganization[];
  readonly root: string;
  readonly secretsOf: (sample: SampleOrganization, victim: Victim) => Secrets;
}

export interface Outcome {
  readonly pass: Pass;
  readonly findings: Findings;
  /** Routes that never answered with 2xx. Checked in the first pass only. */
  readonly unreached: readonly string[];
  /** Callers whose credential was ended by a probe. */
  readonly lostCallers: readonly string[];
  /** Null except in the first pass. */
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
    `Seed ${seed}. ${operations.length} routes x ${world.samples.map(({ callers }) => callers.length).join(' + ')} callers of three organizations.`,
    `Statuses as shipped: ${[...shipped.findings.statuses]
      .sort(([one], [other]) => one - other)
      .map(([code, times]) => `${code} x ${times}`)
      .join(', ')}.`,
    `Damaged payloads that name vehicles of two organizations: ${shipped.payloads?.payloads}, of which ${shipped.payloads?.refused} were refused at intake. ${shipped.payloads?.readings} stored readings were identified by their number and checked against their vehicles.`,
    ...outcomes.slice(0, 2).flatMap(({ pass, findings }) => findings.examples.map((text) => `${pass.name}: ${text}`)),
    ...uncovered.map((text) => `Not covered: ${text}`),
    ...[...shipped.lostCallers, ...alone.lostCallers].map((text) => `Lost its credential: ${text}`),
    `An example from the pass without both protections: ${control.findings.examples[0] ?? 'nothing was found'}`,
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
      leaksWithoutBoth: control.findings.leaks,
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
      // One goal for each kind of leak. A kind that is not found in this pass could not be found in the others either.
      ...(['shown', 'different', 'changed'] as const).map((kind) => {
        const figure = control.findings.kinds[kind];
        return { name: `leaks without both protections: ${kind}`, figure, goal: '> 0', isMet: figure > 0 };
      }),
      {
        name: 'a reading stored for a wrong vehicle on purpose is found',
        figure: shipped.payloads?.isControlFound ? 1 : 0,
        goal: '1',
        isMet: shipped.payloads?.isControlFound === true,
      },
      {
        name: 'readings identified by their number, per 100 damaged payloads',
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
