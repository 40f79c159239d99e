import { countErrors, type Load, openLoad } from '../rig/load.ts';
import { SEQUENCE_BASE } from '../rig/partner-request.ts';
import { atMost, type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { type Seed, seedInstallation } from '../rig/seed.ts';
import {
  authenticate,
  createSite,
  profileArguments,
  readBacklog,
  readMetric,
  type Site,
  startServer,
  waitForDrain,
} from '../rig/server-process.ts';
import { formatTable, round } from '../rig/table.ts';
import { delay } from '../rig/wait.ts';
import { measureStoredBytes, type StoredBytes } from './stored.ts';

/**
 * Measures the way from POST until a record can be read, with three loads on one server:
 * - single records as fast as the server accepts them: the maximum intake rate, and records readable per second;
 * - batches in gzip;
 * - a constant rate of 0.7 of the maximum, under which the backlog between intake and mapping must not grow.
 *
 * A record is readable once it is committed. At the end, the customer's pages must show the last record of every trailer
 * that is checked.
 */
export interface PipelineBenchOptions {
  readonly seconds: number;
  readonly batchRecords: number;
  readonly connections: number;
  /** Folder for a CPU profile of the server. */
  readonly profile?: string;
}

const TRAILERS = 200;
const WARM_UP_SECONDS = 3;
const CEILING_SECONDS = 5;
const RECORDS_PER_BATCH = 100;
const BATCH_CONNECTIONS = 8;
const SHARE_OF_CEILING = 0.7;
const SAMPLE_MS = 500;
/**
 * The backlog rises and falls with the mapper's batches, so a short measurement always shows some slope. A slope below this
 * share of the rate, plus two standard errors, does not count as growth.
 */
const SLOPE_SHARE_MAX = 0.01;

export async function benchPipeline(scratch: Scratch, options: PipelineBenchOptions): Promise<Report> {
  say('preparing a data folder');
  const site = await createSite(scratch);
  const seed = await seedInstallation(site.dataDirectory, { trailers: TRAILERS, products: ['traccar', 'flespi'] });
  const server = startServer(scratch, site, profileArguments(options.profile));
  await server.ready();
  const token = await authenticate(site, 'partner', seed.partnerKeys.traccar!);
  const load = openLoad(scratch);
  const common = { port: site.httpPort, token, vins: seed.vins, connections: options.connections };

  say(`warming up, ${WARM_UP_SECONDS} s`);
  const warmUp = await load.run({ ...common, pace: { kind: 'closed' }, seconds: WARM_UP_SECONDS, firstSequence: 0 });
  await waitForDrain(site);

  say(`maximum rate: single records for ${CEILING_SECONDS} s, as fast as the server accepts them`);
  const ceiling = await timeToReadable(site, () =>
    load.run({ ...common, pace: { kind: 'closed' }, seconds: CEILING_SECONDS, firstSequence: warmUp.nextSequence }),
  );
  // Every trailer gets the same number of records, so that the last record of each is known.
  const perSecond = Math.floor((ceiling.result.perSecond * SHARE_OF_CEILING) / TRAILERS) * TRAILERS;

  say(`constant load of ${perSecond}/s for ${options.seconds} s`);
  const sampler = startSampler(site);
  const steady = await load.run({
    ...common,
    pace: { kind: 'open', perSecond },
    seconds: options.seconds,
    firstSequence: ceiling.result.nextSequence,
  });
  const samples = await sampler.stop();
  await waitForDrain(site);
  await assertReadable(site, seed, steady.nextSequence - 1);

  const batches = await sendBatches(site, seed, load, options.batchRecords);
  const rejected = await readMetric(site, 'gladhand_mapping_records_total{outcome="rejected"}');
  await server.stop();
  const stored = await measureStoredBytes(scratch);

  const { slope, error } = slopeOf(samples);
  const slopeMax = perSecond * SLOPE_SHARE_MAX + 2 * error;
  const errors = countErrors([warmUp, ceiling.result, steady, batches.result]);
  const rates = formatTable([
    ['', 'accepted/s', 'records readable/s', 'p50 ms', 'p99 ms'],
    ['single records, as fast as accepted', ...rateCells(ceiling)],
    [`batches of ${RECORDS_PER_BATCH}, gzip (${batches.bytesPerBatch} bytes)`, ...rateCells(batches)],
    [
      `single records, ${SHARE_OF_CEILING} of the maximum rate`,
      round(steady.perSecond),
      round(steady.perSecond),
      round(steady.p50Ms, 1),
      round(steady.p99Ms, 1),
    ],
  ]);
  const backlog = formatTable([
    ['second', 'backlog'],
    ...thinned(samples).map(({ second, backlog }) => [second.toFixed(1), backlog]),
  ]);
  return {
    name: 'pipeline',
    text: `${rates}\n\n${storedText(stored)}\n\nEnvelopes between intake and mapping under ${perSecond}/s (slope ${round(slope, 1)}/s, standard error ${round(error, 1)}):\n${backlog}`,
    figures: {
      ceilingPerSecond: round(ceiling.result.perSecond),
      singleReadablePerSecond: round(ceiling.recordsPerSecond),
      batchReadablePerSecond: round(batches.recordsPerSecond),
      steadyPerSecond: perSecond,
      steadyP50Ms: round(steady.p50Ms, 2),
      steadyP99Ms: round(steady.p99Ms, 2),
      backlogSlopePerSecond: round(slope, 1),
      backlogSlopeError: round(error, 1),
      backlogMax: Math.max(...samples.map(({ backlog }) => backlog)),
      backlogLast: samples.at(-1)?.backlog ?? 0,
      bytesPerRecord: round(stored.perRecord),
      errors,
      rejected,
      samples,
    },
    goals: [
      atMost(`backlog slope at ${SHARE_OF_CEILING} of the maximum rate, 1/s`, round(slope, 1), round(slopeMax, 1)),
      { name: 'errors and rejects', figure: errors + rejected, goal: '0', isMet: errors + rejected === 0 },
    ],
  };
}

function storedText({ records, byTable, perRecord }: StoredBytes): string {
  const tables = [...byTable].map(([table, bytes]) => `${table} ${round(bytes)}`).join(', ');
  return `Bytes on disk for each of ${records} single records, with indexes: ${round(perRecord)} (${tables}).`;
}

interface Timed {
  readonly result: Awaited<ReturnType<Load['run']>>;
  readonly recordsPerSecond: number;
}

const rateCells = ({ result, recordsPerSecond }: Timed) => [
  round(result.perSecond),
  round(recordsPerSecond),
  round(result.p50Ms, 1),
  round(result.p99Ms, 1),
];

/** Returns the number of records that were added, and the time from the first POST until the last one is readable. */
async function timeToReadable(site: Site, send: () => Promise<Timed['result']>): Promise<Timed> {
  const before = await readMetric(site, ADDED);
  const beganMs = performance.now();
  const result = await send();
  await waitForDrain(site);
  const seconds = (performance.now() - beganMs) / 1000;
  return { result, recordsPerSecond: ((await readMetric(site, ADDED)) - before) / seconds };
}

const ADDED = 'gladhand_mapping_records_total{outcome="added"}';

async function sendBatches(
  site: Site,
  seed: Seed,
  load: Load,
  records: number,
): Promise<Timed & { bytesPerBatch: number }> {
  const batches = Math.ceil(records / RECORDS_PER_BATCH);
  say(`${batches} batches of ${RECORDS_PER_BATCH} records`);
  const token = await authenticate(site, 'partner', seed.partnerKeys.flespi!);
  const common = { port: site.httpPort, token, vins: seed.vins, connections: BATCH_CONNECTIONS };
  const { bytesPerBatch } = await load.prepareBatches({ ...common, batches, recordsPerBatch: RECORDS_PER_BATCH });
  const before = await readMetric(site, ADDED);
  const timed = await timeToReadable(site, () => load.sendBatches());
  const added = (await readMetric(site, ADDED)) - before;
  if (added !== batches * RECORDS_PER_BATCH)
    throw new Error(`${batches * RECORDS_PER_BATCH} records were sent in batches and ${added} became readable`);
  return { ...timed, bytesPerBatch };
}

interface Sample {
  readonly second: number;
  readonly backlog: number;
}

function startSampler(site: Site): { stop(): Promise<Sample[]> } {
  const samples: Sample[] = [];
  const beganMs = performance.now();
  let isStopped = false;
  const loop = async () => {
    while (!isStopped) {
      await delay(SAMPLE_MS);
      const backlog = await readBacklog(site);
      if (!isStopped) samples.push({ second: round((performance.now() - beganMs) / 1000, 2), backlog });
    }
  };
  const running = loop();
  return {
    async stop() {
      isStopped = true;
      await running;
      return samples;
    },
  };
}

/** The slope by least squares, in envelopes per second, and its standard error. */
function slopeOf(samples: readonly Sample[]): { slope: number; error: number } {
  const mean = (read: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + read(sample), 0) / samples.length;
  const [meanSecond, meanBacklog] = [mean(({ second }) => second), mean(({ backlog }) => backlog)];
  const variance = mean(({ second }) => (second - meanSecond) ** 2);
  const slope = mean(({ second, backlog }) => (second - meanSecond) * (backlog - meanBacklog)) / variance;
  const residual = mean(({ second, backlog }) => (backlog - meanBacklog - slope * (second - meanSecond)) ** 2);
  return { slope, error: Math.sqrt(residual / variance / (samples.length - 2)) };
}

const LINES_MAX = 10;

function thinned(samples: readonly Sample[]): readonly Sample[] {
  const step = Math.ceil(samples.length / LINES_MAX);
  return samples.filter((_, place) => (samples.length - 1 - place) % step === 0);
}

const TRAILERS_LOOKED_AT = 5;

/** Checks that the customer's page of each checked trailer begins with the record that was sent last. Throws if not. */
async function assertReadable(site: Site, seed: Seed, lastSequence: number): Promise<void> {
  const token = await authenticate(site, 'customer', seed.customerKey);
  for (const vin of seed.vins.slice(0, TRAILERS_LOOKED_AT)) {
    const answer = await fetch(`http://127.0.0.1:${site.httpPort}/api/v1/telemetry/latest?trailer=${vin}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const body = (await answer.json()) as { data?: { metrics: Record<string, { value: number }> }[] };
    const odometerM = body.data?.[0]?.metrics['odometer.odometerM']?.value ?? Number.NaN;
    if (odometerM !== SEQUENCE_BASE + lastSequence) {
      throw new Error(
        `the last record of ${vin} is not readable: odometer ${odometerM}, sent ${SEQUENCE_BASE + lastSequence}`,
      );
    }
  }
}
