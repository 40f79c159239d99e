import { loadavg } from 'node:os';
import { type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { round } from '../rig/table.ts';
import { openCluster } from './limits/cluster.ts';
import { proveCrash } from './limits/crash.ts';
import { KEYS, proveExactness } from './limits/exactness.ts';
import { openHammer } from './limits/hammer.ts';
import { proveIsolation } from './limits/isolation.ts';
import { proveOutage } from './limits/outage.ts';
import { proveOverload } from './limits/overload.ts';
import type { Part } from './limits/part.ts';

/**
 * Proves that limits are exact, are shared by all nodes, survive an outage of Redis or a node, and protect the server. Many
 * connections ask for several times the limit over HTTP and gRPC. They ask several server processes on one PostgreSQL and
 * one Redis (Debian's packages, started here), and a single server with everything embedded.
 */
export interface LimitsProofOptions {
  /** For how many windows each limit is under load. */
  readonly windows: number;
  /** Duration of the overload. */
  readonly seconds: number;
  /** Records in each batch of the overload. */
  readonly records: number;
  /** Rounds of the comparison of two customers. */
  readonly rounds: number;
  readonly parts: readonly PartName[];
  /** How long the nodes wait for Redis. Set it above the default on a machine with other load. */
  readonly redisWaitMsMax: number;
}

export const PART_NAMES = ['exactness', 'crash', 'outage', 'isolation', 'overload'] as const;
export type PartName = (typeof PART_NAMES)[number];

const NODES = 3;
const CONNECTIONS = 192;
const SECONDS_PER_ROUND = 4;
const PRODUCTS = ['traccar', 'flespi'];
const CUSTOMERS = {
  bucket: { trailers: 40, keys: 1 },
  doors: { trailers: 1, keys: KEYS },
  streams: { trailers: 1, keys: 1 },
  quiet: { trailers: 100, keys: 40 },
  noisy: { trailers: 100, keys: 1 },
};

export async function proveLimits(scratch: Scratch, options: LimitsProofOptions): Promise<Report> {
  const beganMs = performance.now();
  const parts: Part[] = [];
  const hammer = openHammer(scratch);
  const has = (...names: PartName[]) => names.some((name) => options.parts.includes(name));
  if (has('exactness', 'outage', 'crash')) {
    say(`starting ${NODES} nodes`);
    const cluster = await openCluster(
      scratch,
      NODES,
      { products: PRODUCTS, customers: CUSTOMERS },
      { GLADHAND_LIMITS_REDIS_WAIT_MS_MAX: String(options.redisWaitMsMax) },
    );
    const several = { name: 'several nodes, Redis', windows: options.windows, connections: CONNECTIONS };
    if (has('exactness')) parts.push(await proveExactness(cluster, hammer, several));
    if (has('outage')) parts.push(await proveOutage(cluster, hammer));
    if (has('crash')) parts.push(await proveCrash(scratch, cluster));
    await cluster.stop();
  }
  if (has('exactness', 'isolation', 'overload')) {
    say('starting one node');
    const cluster = await openCluster(scratch, 1, { products: PRODUCTS, customers: CUSTOMERS });
    const alone = { name: 'one node, memory', windows: options.windows, connections: Math.ceil(CONNECTIONS / NODES) };
    if (has('exactness')) parts.push(await proveExactness(cluster, hammer, alone));
    if (has('isolation')) {
      const { rounds } = options;
      parts.push(
        await proveIsolation(cluster, [hammer, openHammer(scratch)], { rounds, secondsPerRound: SECONDS_PER_ROUND }),
      );
    }
    if (has('overload'))
      parts.push(await proveOverload(cluster, hammer, { seconds: options.seconds, recordsPerBatch: options.records }));
    await cluster.stop();
  }
  const loadAverage = round(loadavg()[1]!, 1);
  return {
    name: 'limits',
    text: [...parts.map(({ title, text }) => `${title}\n${text}`), `Load average of the machine: ${loadAverage}.`].join(
      '\n\n',
    ),
    figures: {
      ...Object.fromEntries(parts.flatMap(({ title, figures }) => [[title.split(':')[0]!, figures]])),
      parts: options.parts.join(','),
      loadAverage,
      seconds: round((performance.now() - beganMs) / 1000),
    },
    goals: parts.flatMap(({ goals }) => goals),
  };
}
