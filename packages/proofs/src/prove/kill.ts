import { randomInt, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isPostgresOf, signalProcess } from '@gladhand/server/embedded-postgres/process-table.ts';
import { openChild } from '../rig/child.ts';
import { createRandom } from '../rig/random.ts';
import { type Report, say } from '../rig/report.ts';
import { clusterOf, type Scratch } from '../rig/scratch.ts';
import { seedInstallation } from '../rig/seed.ts';
import {
  authenticate,
  createSite,
  type ServerProcess,
  type Site,
  startServer,
  waitForDrain,
} from '../rig/server-process.ts';
import { formatTable, median, round } from '../rig/table.ts';
import { delay, waitFor } from '../rig/wait.ts';
import { type ReadLog, readClientLog } from './client-log.ts';
import { checkStored, type Findings, missedDamages } from './kill-check.ts';
import type { ClientQuestion } from './kill-client.ts';
import { readStored } from './read-stored.ts';

/**
 * Kills the server and PostgreSQL in turn with SIGKILL, under load, at random times that depend on a seed. Some kills come
 * during the recovery from the kill before. At the end every payload that was answered with 202 must be in the database
 * exactly once and in order. A payload that was never acknowledged may be there once.
 */
export interface KillOptions {
  readonly kills: number;
  readonly seed?: number;
  readonly rate: number;
}

const TRAILERS = 40;
/** Before each kill, the proof waits for a random number of acknowledgements and then for a random time, up to these. */
const ACKNOWLEDGED_MAX = 400;
const JITTER_MS = 30;
/** On average, one kill in this many does not wait for the recovery from the kill before. */
const IMPATIENT_ONE_IN = 5;
const IMPATIENT_MS = 800;

type Victim = 'server' | 'postgres';

interface Kill {
  readonly victim: Victim;
  readonly atMs: number;
  /** Resolves with the time when a request that was sent after the kill was answered with 202. */
  readonly recovered: Promise<number>;
}

export async function proveKill(scratch: Scratch, options: KillOptions): Promise<Report> {
  const seed = options.seed ?? randomInt(2 ** 31);
  const random = createRandom(seed);
  say(`seed ${seed}`);
  const site = await createSite(scratch);
  const installation = await seedInstallation(site.dataDirectory, { trailers: TRAILERS, products: ['traccar'] });
  const server = await keepServer(scratch, site);
  const client = openChild(scratch, join(import.meta.dirname, 'kill-client.ts'));
  client.onTold((failure: never) => say(`the client failed: ${failure}`));
  const ask = <Answer>(question: ClientQuestion) => client.ask<Answer>(question);
  const logFile = join(await scratch.folder(), 'client.log');
  const startedAtMs = Date.now();
  await ask({
    kind: 'start',
    order: {
      port: site.httpPort,
      token: await authenticate(site, 'partner', installation.partnerKeys.traccar!),
      vins: installation.vins,
      perSecond: options.rate,
      logFile,
      startedAtMs,
      run: randomUUID(),
    },
  });
  await ask({ kind: 'acknowledged', count: TRAILERS });

  const recoveriesMs: Record<Victim, number[]> = { server: [], postgres: [] };
  const awaitRecovery = async (kill: Kill | undefined) => {
    if (kill === undefined) return;
    const recoveredAtMs = await server.orFails(kill.recovered, `a 202 after kill ${kill.victim}`);
    recoveriesMs[kill.victim].push(recoveredAtMs - kill.atMs);
  };
  let last: Kill | undefined;
  for (let number = 0; number < options.kills; number++) {
    const victim: Victim = number % 2 === 0 ? 'server' : 'postgres';
    if (number > 0 && random() * IMPATIENT_ONE_IN < 1) await delay(random() * IMPATIENT_MS);
    else {
      await awaitRecovery(last);
      await server.orFails(
        ask({ kind: 'acknowledged', count: Math.ceil(random() * ACKNOWLEDGED_MAX) }),
        'acknowledgements',
      );
      await delay(random() * JITTER_MS);
    }
    const atMs = performance.timeOrigin + performance.now();
    await (victim === 'server' ? server.kill() : killPostgres(site));
    last = { victim, atMs, recovered: ask<number>({ kind: 'first-202' }) };
    if ((number + 1) % 10 === 0) say(`${number + 1} of ${options.kills} kills`);
  }
  await awaitRecovery(last);
  await ask({ kind: 'finish' });
  say('draining');
  await waitForDrain(site);
  await server.stop();

  say('checking the client’s log against the database');
  const log = readClientLog(logFile);
  const stored = await readStored(site.dataDirectory, startedAtMs);
  const findings = checkStored(log, stored, installation.vins);
  const missed = missedDamages(log, stored, installation.vins);
  return toReport({ seed, kills: options.kills, ownEnds: server.ownEnds, recoveriesMs, log, findings, missed });
}

interface KeptServer {
  /** How often it ended without being killed. It may do so if its PostgreSQL is killed while it starts. */
  readonly ownEnds: number;
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** Resolves with the value. Rejects with the server's last output if the value does not come in time. */
  orFails<Value>(value: Promise<Value>, what: string): Promise<Value>;
}

const RECOVERY_MS_MAX = 60_000;
const OWN_ENDS_MAX = 100;

/** Starts the server again each time it ends, as a process supervisor does. */
async function keepServer(scratch: Scratch, site: Site): Promise<KeptServer> {
  let current = startServer(scratch, site);
  await current.ready();
  let isEnding = false;
  let killed: ServerProcess | undefined;
  let ownEnds = 0;
  const watch = (watched: ServerProcess) => {
    void watched.exited.then(() => {
      if (isEnding || scratch.signal.aborted) return;
      if (killed !== watched) ownEnds += 1;
      if (ownEnds > OWN_ENDS_MAX) return;
      current = startServer(scratch, site);
      watch(current);
    });
  };
  watch(current);
  return {
    get ownEnds() {
      return ownEnds;
    },
    async kill() {
      const victim = current;
      killed = victim;
      victim.kill();
      await victim.exited;
    },
    stop() {
      isEnding = true;
      return current.stop();
    },
    async orFails(value, what) {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => late.reject(new Error(`no ${what} within ${RECOVERY_MS_MAX} ms; ${current.lastWords()}`)),
        RECOVERY_MS_MAX,
      );
      return Promise.race([value, late.promise]).finally(() => clearTimeout(timer));
    },
  };
}

/** Waits until the lock file names a running postmaster, and kills it. */
async function killPostgres(site: Site): Promise<void> {
  const cluster = clusterOf(site.dataDirectory);
  const pid = await waitFor(
    'a running postmaster',
    async () => {
      const found = Number.parseInt(await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => ''), 10);
      return found > 1 && (await isPostgresOf(found, cluster)) ? found : undefined;
    },
    { everyMs: 5 },
  );
  signalProcess(pid, 'SIGKILL');
}

interface Outcome {
  readonly seed: number;
  readonly kills: number;
  readonly ownEnds: number;
  readonly recoveriesMs: Record<Victim, number[]>;
  readonly log: ReadLog;
  readonly findings: Findings;
  readonly missed: readonly string[];
}

function toReport({ seed, kills, ownEnds, recoveriesMs, log, findings, missed }: Outcome): Report {
  const { lost, doubled, disordered, unexplained, acknowledged, storedUnacknowledged, replayed } = findings;
  const unknowns = Object.values(log.unknowns).reduce((sum, count) => sum + count, 0);
  const refused = Object.values(log.refusals).reduce((sum, count) => sum + count, 0);
  const span = (name: string, values: number[]) => [
    name,
    values.length,
    ...[Math.min(...values), median(values), Math.max(...values)].map((ms) => round(ms)),
  ];
  const table = formatTable([
    ['recovered from', 'times', 'min ms', 'median ms', 'max ms'],
    ...Object.entries(recoveriesMs)
      .filter(([, values]) => values.length > 0)
      .map(([victim, values]) => span(victim, values)),
  ]);
  const words = [
    `Seed ${seed}. ${kills} kills; the time runs from the kill to the first 202 of a request sent after it.`,
    `${acknowledged} acknowledged; ${unknowns} attempts with unknown outcome (${JSON.stringify(log.unknowns)}); ${storedUnacknowledged} payloads were stored although they were never acknowledged.`,
    `${replayed} retries got the receipt of an earlier attempt whose 202 had not arrived. The server ended by itself ${ownEnds} times while starting.`,
    ...findings.examples,
    ...(refused > 0 ? [`Refused: ${JSON.stringify(log.refusals)}`] : []),
    ...missed.map((name) => `The checker did not find ${name}.`),
  ];
  const none = (name: string, figure: number) => ({ name, figure, goal: '0', isMet: figure === 0 });
  const all = Object.values(recoveriesMs).flat();
  return {
    name: 'kill',
    text: `${table}\n\n${words.join('\n')}`,
    figures: {
      kills,
      acknowledged,
      lost,
      doubled,
      disordered,
      unexplained,
      refused,
      unknowns,
      storedUnacknowledged,
      replayed,
      recoverMinMs: round(Math.min(...all)),
      recoverMedianMs: round(median(all)),
      recoverMaxMs: round(Math.max(...all)),
      seed,
      ownEnds,
      unknownKinds: log.unknowns,
    },
    goals: [
      none('acknowledged and lost', lost),
      none('stored more than once', doubled),
      none('out of order per VIN', disordered),
      none('stored in a form that was never sent', unexplained),
      none('valid requests refused', refused),
      none('damages the checker did not find', missed.length),
      { name: 'acknowledged at all', figure: acknowledged, goal: '> 0', isMet: acknowledged > 0 },
    ],
  };
}
