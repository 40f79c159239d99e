import { randomInt, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isPostgresOf, signalProcess } from '../../packages/server/src/database/process-table.ts';
import { type Child, openChild } from '../child.ts';
import { type Report, say } from '../report.ts';
import { clusterOf, type Scratch } from '../scratch.ts';
import { seedInstallation } from '../seed.ts';
import { authenticate, createSite, type ServerProcess, type Site, startServer, waitForDrain } from '../server-process.ts';
import { formatTable, median, round } from '../table.ts';
import { delay, waitFor } from '../wait.ts';
import { readClientLog } from './client-log.ts';
import { checkStored, type Findings, missedDamages } from './kill-check.ts';
import type { ClientQuestion } from './kill-client.ts';
import { readStored } from './read-stored.ts';

/**
 * SIGKILL under load, of the server and of PostgreSQL in turn, at moments drawn from a seed. Every 202 the client has
 * in its log must then be in the database exactly once and in order; what was never acknowledged may be there once.
 * Some kills come while the one before is still being recovered from.
 */
export interface KillOptions {
  readonly kills: number;
  readonly seed?: number;
  readonly rate: number;
}

const TRAILERS = 40;
/** A kill comes after up to this many acknowledgements and then up to this many milliseconds. */
const ACKNOWLEDGED_MAX = 400;
const JITTER_MS = 30;
/** One in so many kills does not wait for the recovery from the one before. */
const IMPATIENT_ONE_IN = 5;
const IMPATIENT_MS = 800;

type Victim = 'server' | 'postgres';

export async function proveKill(scratch: Scratch, options: KillOptions): Promise<Report> {
  const seed = options.seed ?? randomInt(2 ** 31);
  const random = createRandom(seed);
  say(`seed ${seed}`);
  const site = await createSite(scratch);
  const installation = await seedInstallation(site.dataDirectory, { trailers: TRAILERS, products: ['traccar'] });
  let server = startServer(scratch, site);
  await server.ready();
  const client = openChild(scratch, join(import.meta.dirname, 'kill-client.ts'));
  client.onTold((failure: never) => say(`the client failed: ${failure}`));
  const ask = <Answer>(question: ClientQuestion) => client.ask<Answer>(question);
  const logFile = join(await scratch.folder(), 'client.log');
  const startedAtMs = Date.now();
  await ask({
    kind: 'start',
    order: {
      ...{ port: site.httpPort, token: await authenticate(site, 'partner', installation.partnerKeys.traccar!) },
      ...{ vins: installation.vins, perSecond: options.rate, logFile, startedAtMs, run: randomUUID() },
    },
  });
  await ask({ kind: 'acknowledged', count: TRAILERS });

  const recoveries: Record<Victim, number[]> = { server: [], postgres: [] };
  const kills: Record<Victim, number> = { server: 0, postgres: 0 };
  for (let number = 0; number < options.kills; number++) {
    const victim: Victim = number % 2 === 0 ? 'server' : 'postgres';
    const isImpatient = number > 0 && random() * IMPATIENT_ONE_IN < 1;
    if (isImpatient) await delay(random() * IMPATIENT_MS);
    else {
      await recovery(client);
      await ask({ kind: 'acknowledged', count: Math.ceil(random() * ACKNOWLEDGED_MAX) });
      await delay(random() * JITTER_MS);
    }
    const killedAtMs = performance.timeOrigin + performance.now();
    if (victim === 'server') server = await killServer(scratch, site, server);
    else await killPostgres(site);
    kills[victim] += 1;
    // Where the next kill does not wait for it, the time counts for nobody.
    pending = { victim, killedAtMs, recovered: ask<number>({ kind: 'first-202' }), recoveries };
    if ((number + 1) % 10 === 0) say(`${number + 1} of ${options.kills} kills`);
  }
  await recovery(client);
  await ask({ kind: 'finish' });
  say('draining');
  await waitForDrain(site);
  await server.stop();

  say('checking the client’s log against the database');
  const log = readClientLog(logFile);
  const stored = await readStored(site.dataDirectory, startedAtMs);
  const findings = checkStored(log, stored, installation.vins);
  const missed = missedDamages(log, stored, installation.vins);
  return toReport({ seed, kills, recoveries, log, findings, missed });
}
