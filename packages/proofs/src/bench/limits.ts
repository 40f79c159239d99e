import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { DECISION_MS_MAX, type Decision, type Limits, type TakeRequest } from '@gladhand/server/limits/limits.ts';
import { createMemoryLimits } from '@gladhand/server/limits/memory.ts';
import { openRedisLimits } from '@gladhand/server/limits/redis.ts';
import { hasInstalledRedis, openInstalledRedis, REDIS_PROGRAM } from '../rig/installed-redis.ts';
import { atMost, type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { formatTable, round } from '../rig/table.ts';

/**
 * Measures the cost of one limit decision: without limits, in memory, in Redis, and by the local share while Redis is
 * unavailable. It measures two requests: intake (the windows of product and VIN) and a customer's read (a bucket, and a
 * slot that is released again). CPU time of this process and of Redis is read from the system for the whole round.
 */
export interface LimitsBenchOptions {
  readonly seconds: number;
}

const VINS = 1_000;
const IN_FLIGHT = [1, 64];
/** A limit so high that every request is admitted. Refusals would cost less and change the result. */
const PLENTY = 1_000_000_000;
const WARM_UP_SECONDS = 0.5;

const REQUESTS: Readonly<Record<string, (turn: number) => TakeRequest>> = {
  intake: (turn) => ({
    charges: [
      {
        policy: { algorithm: 'fixed-window', name: 'intake', limit: PLENTY, windowSeconds: 60, mode: 'enforce' },
        key: 'product',
        cost: 1,
      },
      {
        policy: { algorithm: 'fixed-window', name: 'intake-vin', limit: PLENTY, windowSeconds: 60, mode: 'enforce' },
        key: `product/${turn % VINS}`,
        cost: 1,
      },
    ],
  }),
  read: (turn) => ({
    charges: [
      {
        policy: { algorithm: 'token-bucket', name: 'reads', capacity: PLENTY, refillPerSecond: 1_000, mode: 'enforce' },
        key: String(turn % VINS),
        cost: 1,
      },
    ],
    slot: { policy: { name: 'concurrent', slotsMax: PLENTY, mode: 'enforce' }, key: String(turn % VINS) },
  }),
};

const ALLOWED: Decision = {
  allowed: true,
  charges: [],
  slot: undefined,
  lease: undefined,
  retryAfterSeconds: 0,
  atMs: 0,
  source: 'memory',
};
const noLimits: Pick<Limits, 'take'> = { take: async () => ALLOWED };

export async function benchLimits(scratch: Scratch, options: LimitsBenchOptions): Promise<Report> {
  if (!hasInstalledRedis) throw new Error(`needs ${REDIS_PROGRAM}; on Debian: apt-get install redis-server`);
  const redis = await openInstalledRedis();
  scratch.defer(() => redis.close());
  const memory = createMemoryLimits({ clock: systemClock });
  const shared = await openRedisLimits({
    url: redis.url,
    nodeId: systemIds.uuid(),
    clock: systemClock,
    log: silentLogger,
    // Long, so that Redis decides every request even on a busy machine. `latePercent` shows what a real server would miss.
    decisionMsMax: 1_000,
  });
  scratch.defer(() => shared.close());

  const rounds: Round[] = [];
  const measure = async (name: string, limits: Pick<Limits, 'take'>, redisPid?: number) => {
    for (const request of Object.keys(REQUESTS)) {
      for (const inFlight of IN_FLIGHT) {
        say(`${name}: ${request}, ${inFlight} in flight`);
        await run(limits, { request, inFlight, seconds: WARM_UP_SECONDS, redisPid });
        rounds.push({ name, ...(await run(limits, { request, inFlight, seconds: options.seconds, redisPid })) });
      }
    }
  };
  await measure('none', noLimits);
  await measure('memory', memory);
  await measure('redis', shared, redis.pid);
  await redis.kill();
  await measure('share', shared);

  const none = (round: Round) =>
    rounds.find(
      (other) => other.name === 'none' && other.request === round.request && other.inFlight === round.inFlight,
    )!;
  const cost = (round: Round) => Math.max(0, round.cpuUs - none(round).cpuUs);
  const find = (name: string, request: string, inFlight: number) =>
    rounds.find((one) => one.name === name && one.request === request && one.inFlight === inFlight)!;
  const table = formatTable([
    [
      '',
      'in flight',
      'decisions/s',
      'CPU µs here',
      'above none',
      'CPU µs in Redis',
      'p50 µs',
      'p99 µs',
      'by share %',
      'late %',
    ],
    ...rounds.map((one) => [
      `${one.name}, ${one.request}`,
      one.inFlight,
      round(one.perSecond),
      round(one.cpuUs, 2),
      round(cost(one), 2),
      one.redisCpuUs === undefined ? '-' : round(one.redisCpuUs, 1),
      round(one.p50Us, 1),
      round(one.p99Us, 1),
      round(one.sharePercent, 2),
      round(one.latePercent, 3),
    ]),
  ]);
  const figures = {
    memoryIntakeCpuUs: round(cost(find('memory', 'intake', 64)), 2),
    memoryReadCpuUs: round(cost(find('memory', 'read', 64)), 2),
    redisIntakeCpuUs: round(cost(find('redis', 'intake', 64)), 1),
    redisReadCpuUs: round(cost(find('redis', 'read', 64)), 1),
    redisIntakePerSecond: round(find('redis', 'intake', 64).perSecond),
    redisReadPerSecond: round(find('redis', 'read', 64).perSecond),
    redisAloneP50Us: round(find('redis', 'intake', 1).p50Us),
    redisAloneP99Us: round(find('redis', 'intake', 1).p99Us),
    shareIntakeCpuUs: round(cost(find('share', 'intake', 64)), 2),
    redisLatePercent: round(
      Math.max(...rounds.filter(({ name }) => name === 'redis').map(({ latePercent }) => latePercent)),
      3,
    ),
  };
  return {
    name: 'limits',
    text: table,
    figures: { ...figures, rounds },
    goals: [
      atMost('memory: CPU µs per decision', Math.max(figures.memoryIntakeCpuUs, figures.memoryReadCpuUs), 10),
      atMost(
        'redis: CPU µs per decision here, 64 in flight',
        Math.max(figures.redisIntakeCpuUs, figures.redisReadCpuUs),
        100,
      ),
      atMost('redis: p50 µs, one in flight', figures.redisAloneP50Us, 2_000),
    ],
  };
}

interface Round {
  readonly name: string;
  readonly request: string;
  readonly inFlight: number;
  readonly perSecond: number;
  /** CPU time of this process per decision. */
  readonly cpuUs: number;
  readonly redisCpuUs: number | undefined;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Share of decisions made locally because Redis was late or unavailable. */
  readonly sharePercent: number;
  /** Share of decisions that took longer than a server waits. */
  readonly latePercent: number;
}

/** Only every 16th decision is timed, because the timing would be a large part of a cheap decision. */
const TIMED_EVERY = 16;

/** Decisions in memory never yield to the event loop. After this many, the loop yields so that sockets are read. */
const TURNS_PER_YIELD = 100;

async function run(
  limits: Pick<Limits, 'take'>,
  options: { request: string; inFlight: number; seconds: number; redisPid: number | undefined },
): Promise<Omit<Round, 'name'>> {
  const { request, inFlight, seconds, redisPid } = options;
  const make = REQUESTS[request]!;
  const times: number[] = [];
  let [decisions, byShare] = [0, 0];
  const redisCpuBefore = redisPid === undefined ? 0 : cpuUsOf(redisPid);
  const cpuBefore = process.cpuUsage();
  const beganMs = performance.now();
  const endMs = beganMs + seconds * 1000;
  const worker = async () => {
    for (;;) {
      const turn = decisions++;
      const isTimed = turn % TIMED_EVERY === 0;
      const askedMs = isTimed ? performance.now() : 0;
      if (askedMs > endMs) return;
      const decision = await limits.take(make(turn));
      decision.lease?.release();
      if (decision.source === 'share') byShare += 1;
      if (isTimed) times.push((performance.now() - askedMs) * 1000);
      if (turn % TURNS_PER_YIELD === 0) await nextTurn();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const elapsedSeconds = (performance.now() - beganMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  times.sort((one, other) => one - other);
  return {
    request,
    inFlight,
    perSecond: decisions / elapsedSeconds,
    cpuUs: (cpu.user + cpu.system) / decisions,
    redisCpuUs: redisPid === undefined ? undefined : (cpuUsOf(redisPid) - redisCpuBefore) / decisions,
    p50Us: times[Math.floor(times.length * 0.5)] ?? Number.NaN,
    p99Us: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
    sharePercent: (byShare / decisions) * 100,
    latePercent: (times.filter((timeUs) => timeUs > DECISION_MS_MAX * 1000).length / times.length) * 100,
  };
}

const US_PER_TICK = 10_000;

/** User and system CPU time of a process so far, in µs (proc(5), fields 14 and 15). */
function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}
