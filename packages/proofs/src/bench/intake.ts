import { join } from 'node:path';
import { openChild } from '../rig/child.ts';
import { countErrors, type Load, type LoadResult, openLoad } from '../rig/load.ts';
import { atLeast, type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { seedInstallation } from '../rig/seed.ts';
import {
  authenticate,
  createSite,
  profileArguments,
  readBacklog,
  type Site,
  startServer,
  waitForDrain,
} from '../rig/server-process.ts';
import { formatTable, median, round } from '../rig/table.ts';

/**
 * Measures our intake against a bare `node:http` server and against one INSERT per request, under the same load. Rounds
 * alternate, so that other load on the machine affects all three alike. Ratios are taken within a round, and the result is
 * the median of the rounds. A round starts only after the server has mapped all envelopes of the round before.
 */
export interface IntakeBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  /** Folder for a CPU profile of the server. */
  readonly profile?: string;
}

export const TRAILERS = 200;
const WARM_UP_SECONDS = 2;

interface Contender {
  readonly name: string;
  readonly port: number;
  readonly token: string;
  readonly results: LoadResult[];
  nextSequence: number;
}

export async function benchIntake(scratch: Scratch, options: IntakeBenchOptions): Promise<Report> {
  say('preparing two data folders');
  const site = await createSite(scratch);
  const insertSite = await createSite(scratch);
  const seed = await seedInstallation(site.dataDirectory, { trailers: TRAILERS, products: ['traccar'] });
  const insertSeed = await seedInstallation(insertSite.dataDirectory, { trailers: TRAILERS, products: ['traccar'] });
  const server = startServer(scratch, site, profileArguments(options.profile));
  const bare = openChild(scratch, join(import.meta.dirname, 'bare-server.ts'));
  const inserts = openChild(scratch, join(import.meta.dirname, 'insert-server.ts'));
  await server.ready();
  const contender = async (name: string, on: Site, key: string | undefined): Promise<Contender> => {
    const token = key === undefined ? '' : await authenticate(on, 'partner', key);
    return { name, port: on.httpPort, token, results: [], nextSequence: 0 };
  };
  const contenders = {
    ours: await contender('ours: authenticated, validated, fsynced', site, seed.partnerKeys.traccar),
    bare: await contender(
      'bare node:http, nothing stored',
      { ...site, httpPort: await bare.ask<number>(null) },
      undefined,
    ),
    insert: await contender(
      'the same route, one INSERT per request',
      { ...insertSite, httpPort: await inserts.ask<number>(insertSite.dataDirectory) },
      insertSeed.partnerKeys.traccar,
    ),
  };
  const load = openLoad(scratch);
  const turn = async (one: Contender, seconds: number) => {
    const result = await runLoad(load, one, seed.vins, options.connections, seconds);
    one.nextSequence = result.nextSequence;
    return result;
  };
  say(`warming up, ${WARM_UP_SECONDS} s each`);
  for (const one of Object.values(contenders)) await turn(one, WARM_UP_SECONDS);
  await waitForDrain(site);

  const backlogs: number[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    for (const one of Object.values(contenders)) {
      one.results.push(await turn(one, options.seconds));
      if (one !== contenders.ours) continue;
      backlogs.push(await readBacklog(site));
      await waitForDrain(site);
    }
    const rates = Object.values(contenders).map(({ results }) => round(results.at(-1)!.perSecond));
    say(`round ${number} of ${options.rounds}: ours ${rates[0]}/s, bare ${rates[1]}/s, one INSERT ${rates[2]}/s`);
  }
  await server.stop();
  return toReport(contenders, backlogs, options);
}

function runLoad(
  load: Load,
  one: Contender,
  vins: readonly string[],
  connections: number,
  seconds: number,
): Promise<LoadResult> {
  const { port, token, nextSequence } = one;
  return load.run({ port, token, vins, connections, seconds, pace: { kind: 'closed' }, firstSequence: nextSequence });
}

function toReport(
  contenders: Record<'ours' | 'bare' | 'insert', Contender>,
  backlogs: number[],
  options: IntakeBenchOptions,
): Report {
  const { ours, bare, insert } = contenders;
  const of = (one: Contender, read: (result: LoadResult) => number, digits = 0) =>
    round(median(one.results.map(read)), digits);
  const ratio = (other: Contender) =>
    round(median(ours.results.map((result, place) => result.perSecond / other.results[place]!.perSecond)), 2);
  const [toBare, toInsert] = [ratio(bare), ratio(insert)];
  const row = (one: Contender, times: number | string) => [
    one.name,
    of(one, (result) => result.perSecond),
    of(one, (result) => result.p50Ms, 1),
    of(one, (result) => result.p99Ms, 1),
    times,
    countErrors(one.results),
  ];
  const table = formatTable([
    ['', 'requests/s', 'p50 ms', 'p99 ms', 'ours / this', 'errors'],
    row(ours, 1),
    row(bare, toBare),
    row(insert, toInsert),
  ]);
  const { bodyBytes, ownCpu } = ours.results[0]!;
  const note = `${options.rounds} rounds of ${options.seconds} s, ${options.connections} connections, bodies of ${bodyBytes} bytes, ${TRAILERS} trailers; medians of the rounds.
Mapping runs beside our intake; at the end of a round ${round(median(backlogs))} envelopes waited for it (median).
The load itself takes ${round(ownCpu * 100)} % of a core from ours, ${round(bare.results[0]!.ownCpu * 100)} % from bare.`;
  const errors = Object.values(contenders).reduce((sum, { results }) => sum + countErrors(results), 0);
  return {
    name: 'intake',
    text: `${table}\n\n${note}`,
    figures: {
      oursPerSecond: of(ours, (result) => result.perSecond),
      oursP50Ms: of(ours, (result) => result.p50Ms, 2),
      oursP99Ms: of(ours, (result) => result.p99Ms, 2),
      barePerSecond: of(bare, (result) => result.perSecond),
      bareP50Ms: of(bare, (result) => result.p50Ms, 2),
      bareP99Ms: of(bare, (result) => result.p99Ms, 2),
      insertPerSecond: of(insert, (result) => result.perSecond),
      insertP50Ms: of(insert, (result) => result.p50Ms, 2),
      insertP99Ms: of(insert, (result) => result.p99Ms, 2),
      oursToBare: toBare,
      oursToInsert: toInsert,
      backlogAtRoundEnd: round(median(backlogs)),
      errors,
      rounds: options.rounds,
    },
    goals: [
      atLeast('ours / bare node:http', toBare, 0.7),
      atLeast('ours / one INSERT per request', toInsert, 5),
      { name: 'errors', figure: errors, goal: '0', isMet: errors === 0 },
    ],
  };
}
