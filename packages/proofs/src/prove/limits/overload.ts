import { gzipSync } from 'node:zlib';
import { flespiPayload } from '../../rig/partner-request.ts';
import { atLeast, atMost, say } from '../../rig/report.ts';
import { waitForDrain } from '../../rig/server-process.ts';
import { formatTable, round } from '../../rig/table.ts';
import { delay } from '../../rig/wait.ts';
import { type Cluster, memoryOf } from './cluster.ts';
import { countStatuses, type Hammer, type Hammered, placesWith } from './hammer.ts';
import { editPlan, editProduct, PLENTY } from './limit-settings.ts';
import { percentile } from './paired-rounds.ts';
import { none, type Part } from './part.ts';
import { postRequest } from './requests.ts';

/**
 * Measures the server's capacity, then sends ten times that at a constant rate for the same time. The server must accept
 * nearly as much as before, refuse the rest early with 429 or 503 and Retry-After, keep its memory within a limit, and
 * still answer requests to other routes.
 */
export interface OverloadOptions {
  readonly seconds: number;
  /** Size of a batch. The smaller it is, the higher is the cost of a refusal compared with an acceptance. */
  readonly recordsPerBatch: number;
}

const TIMES = 10;
const BATCHES = 4_000;
/** Capacity is measured with each number of connections, and the higher result counts. */
const CAPACITY_CONNECTIONS = [64, 256];
const OVERLOAD_CONNECTIONS = 1_500;
/** The client gives up a due request that has waited this long for a free connection. */
const PATIENCE_MS = 2_000;
const GOODPUT_LEAST = 0.9;
/** While the server parses a body of 1 MB (15 ms), it answers nothing else. */
const REFUSED_P99_MS_MAX = 500;
/** Two V8 heaps, and 64 MiB of bodies held three times: as bytes, as text and as values. */
const MEMORY_MIB_MAX = 1_024;
const PROBE_EVERY_MS = 500;
const WARM_UP_SECONDS = 3;

export async function proveOverload(cluster: Cluster, hammer: Hammer, options: OverloadOptions): Promise<Part> {
  const { site, server } = cluster.nodes[0]!;
  await editProduct(cluster, 'flespi', { perProduct: null, perVin: PLENTY });
  await editPlan(cluster, 'quiet', {});
  say('overload: making the batches');
  const token = await cluster.tokenOf({ partner: 'flespi' });
  const requests = createBatches(token, cluster.installation.customers.quiet!.vins, options.recordsPerBatch);
  const probe = createProbe(cluster);
  const run = async (seconds: number, pace: { connections: number; perSecond?: number }) => {
    await waitForDrain(site);
    const fromMs = Date.now() + 200;
    return hammer.run({
      ports: [site.httpPort],
      connections: pace.connections,
      requests,
      isRetrying: true,
      pace:
        pace.perSecond === undefined
          ? { kind: 'closed', pauseMs: 0 }
          : { kind: 'open', perSecond: pace.perSecond, patienceMs: PATIENCE_MS },
      fromMs,
      untilMs: fromMs + seconds * 1000,
    });
  };
  say('overload: capacity');
  await run(WARM_UP_SECONDS, { connections: CAPACITY_CONNECTIONS[0]! });
  let [capacity, calm]: [number, Hammered | undefined] = [0, undefined];
  for (const connections of CAPACITY_CONNECTIONS) {
    const result = await run(options.seconds / 2, { connections });
    const accepted = acceptedPerSecond(result, options.seconds / 2);
    say(`overload: ${round(accepted)}/s with ${connections} connections`);
    if (accepted > capacity) [capacity, calm] = [accepted, result];
  }
  if (calm === undefined) throw new Error('the server accepted no request');
  const beforeMiB = memoryOf(server.pid).peakMiB;
  say(`overload: ${TIMES} x ${round(capacity)} requests/s for ${options.seconds} s`);
  const memory = watchMemory(server.pid);
  const probing = probe.begin();
  const loud = await run(options.seconds, { connections: OVERLOAD_CONNECTIONS, perSecond: TIMES * capacity });
  const probed = await probing.end();
  const memoryMiB = memory.end();
  const goodput = acceptedPerSecond(loud, options.seconds);
  const refused = placesWith(loud, 429, 503);
  const withoutRetryAfter = refused.filter((place) => loud.retryAfter[place]! < 1).length;
  const statuses = countStatuses([loud]);
  const others = Object.entries(statuses).reduce(
    (sum, [code, count]) => (/^(202|429|503)$/.test(code) ? sum : sum + count),
    0,
  );
  const offered = (loud.status.length + loud.givenUp) / options.seconds;
  const sent = loud.status.length / options.seconds;
  const calmWaits = waitsOf(calm, 202);
  const figures = {
    capacityPerSecond: round(capacity),
    recordsPerBatch: options.recordsPerBatch,
    offeredPerSecond: round(offered),
    sentPerSecond: round(sent),
    goodputPerSecond: round(goodput),
    goodputShare: round(goodput / capacity, 3),
    refused: refused.length,
    givenUp: loud.givenUp,
    acceptedP99Ms: round(percentile(waitsOf(loud, 202), 0.99)),
    acceptedP99CalmMs: round(percentile(calmWaits, 0.99)),
    refusedP50Ms: round(percentile(waitsOf(loud, 429, 503), 0.5), 1),
    refusedP99Ms: round(percentile(waitsOf(loud, 429, 503), 0.99), 1),
    memoryPeakMiB: round(memoryMiB),
    memoryBeforeMiB: round(beforeMiB),
    generatorCpu: round(loud.ownCpu, 2),
    probes: probed.count,
    probesFailed: probed.failures.length,
    probeMaxMs: round(probed.maxMs),
    statuses,
    seconds: options.seconds,
  };
  const text = [
    formatTable([
      ['', 'offered/s', 'accepted/s', 'accepted p99 ms', 'refused p50 ms', 'refused p99 ms'],
      ['capacity', '-', figures.capacityPerSecond, figures.acceptedP99CalmMs, '-', '-'],
      [
        `${TIMES} x`,
        figures.offeredPerSecond,
        figures.goodputPerSecond,
        figures.acceptedP99Ms,
        figures.refusedP50Ms,
        figures.refusedP99Ms,
      ],
    ]),
    `${options.seconds} s each, batches of ${options.recordsPerBatch} records in gzip. Answers: ${Object.entries(
      statuses,
    )
      .map(([code, count]) => `${code} x ${count}`)
      .join(
        ', ',
      )}; ${loud.givenUp} requests found none of ${OVERLOAD_CONNECTIONS} connections free within ${PATIENCE_MS} ms.`,
    `Memory of the server: at most ${figures.memoryPeakMiB} MiB (${figures.memoryBeforeMiB} before). The load generator used ${round(loud.ownCpu * 100)} % of a core of the same machine.`,
    `Requests to other routes meanwhile: ${probed.count} requests, the slowest ${figures.probeMaxMs} ms${probed.failures.length > 0 ? `, failed: ${probed.failures.slice(0, 3).join('; ')}` : ''}.`,
  ].join('\n');
  return {
    title: 'overload',
    text,
    figures,
    goals: [
      atLeast(`overload: offered, times the capacity`, round(offered / capacity, 1), TIMES * 0.95),
      atLeast('overload: goodput / capacity', figures.goodputShare, GOODPUT_LEAST),
      { name: 'overload: refused', figure: refused.length, goal: '> 0', isMet: refused.length > 0 },
      none('overload: refused without Retry-After', withoutRetryAfter),
      none('overload: answers other than 202, 429, 503', others),
      atMost('overload: refused p99, ms', figures.refusedP99Ms, REFUSED_P99_MS_MAX),
      atMost('overload: memory, MiB', figures.memoryPeakMiB, MEMORY_MIB_MAX),
      none('overload: failed requests to other routes', probed.failures.length),
    ],
  };
}

function acceptedPerSecond(result: Hammered, seconds: number): number {
  return placesWith(result, 202).length / seconds;
}

function waitsOf(result: Hammered, ...wanted: number[]): number[] {
  return placesWith(result, ...wanted).map((place) => result.answeredMs[place]! - result.sentMs[place]!);
}

/** Makes batches that all differ. Equal batches would be stored as one. */
function createBatches(token: string, vins: readonly string[], records: number): Buffer[] {
  const beganMs = Math.floor(Date.now() / 1000) * 1000 - 7 * 24 * 60 * 60 * 1000;
  return Array.from({ length: BATCHES }, (_, number) => {
    const vin = vins[number % vins.length]!;
    const sequence = Math.floor(number / vins.length) * records;
    const payload = flespiPayload(vin, sequence, records, beganMs + sequence * 1000);
    const headers = { authorization: `Bearer ${token}`, 'content-encoding': 'gzip' };
    return postRequest(`/api/v1/telemetry/intake/${vin}`, headers, gzipSync(JSON.stringify(payload), { level: 1 }));
  });
}

function watchMemory(pid: number): { end(): number } {
  let peakMiB = 0;
  const look = () => {
    peakMiB = Math.max(peakMiB, memoryOf(pid).nowMiB);
  };
  const timer = setInterval(look, 100);
  return {
    end() {
      clearInterval(timer);
      look();
      return peakMiB;
    },
  };
}

interface Probed {
  readonly count: number;
  readonly maxMs: number;
  readonly failures: readonly string[];
}

/** Sends normal requests during the overload: a customer reads, a partner authenticates, an operator administers. */
function createProbe(cluster: Cluster): { begin(): { end(): Promise<Probed> } } {
  const { site } = cluster.nodes[0]!;
  const { keys, fleetId } = cluster.installation.customers.quiet!;
  return {
    begin() {
      let [isOver, count, maxMs, authentications] = [false, 0, 0, 0];
      const failures: string[] = [];
      const timed = async (what: string, work: () => Promise<unknown>) => {
        const askedMs = performance.now();
        count += 1;
        await work().catch((error: Error) => failures.push(`${what}: ${error.message}`));
        maxMs = Math.max(maxMs, performance.now() - askedMs);
      };
      const read = async (token: string) => {
        const answer = await fetch(`http://127.0.0.1:${site.httpPort}/api/v1/trailers/${fleetId}`, {
          headers: { authorization: `Bearer ${token}` },
        });
        await answer.arrayBuffer();
        if (!answer.ok) throw new Error(String(answer.status));
      };
      const authenticate = async () => {
        // Each key authenticates only a few times, because that is limited too.
        const key = keys[1 + (Math.floor(authentications++ / 5) % (keys.length - 1))]!;
        const answer = await fetch(`http://127.0.0.1:${site.httpPort}/api/v1/customers/authenticate`, {
          method: 'POST',
          headers: { 'x-api-key': key },
        });
        await answer.arrayBuffer();
        if (!answer.ok) throw new Error(String(answer.status));
      };
      const loop = async () => {
        const token = await cluster.tokenOf({ customer: 'quiet' });
        while (!isOver) {
          await timed('reading', () => read(token));
          await timed('authenticating', authenticate);
          await timed('administering', () => cluster.administer('GET', '/organizations'));
          await delay(PROBE_EVERY_MS);
        }
      };
      const running = loop();
      return {
        async end() {
          isOver = true;
          await running;
          return { count, maxMs, failures };
        },
      };
    },
  };
}
