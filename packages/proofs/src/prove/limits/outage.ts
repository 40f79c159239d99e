import { DECISION_MS_MAX } from '@gladhand/server/limits/limits.ts';
import { atLeast, atMost, type Goal, say } from '../../rig/report.ts';
import { formatTable, round } from '../../rig/table.ts';
import { delay } from '../../rig/wait.ts';
import { type Asked, type Counted, countPerWindow } from './check-admitted.ts';
import { type Cluster, raisePriority } from './cluster.ts';
import { countStatuses, type Hammer, type Hammered } from './hammer.ts';
import { editProduct, PLENTY } from './limit-settings.ts';
import { percentile } from './paired-rounds.ts';
import { none, type Part } from './part.ts';
import { intakeRequest } from './requests.ts';

/**
 * Kills Redis, and later stops it so that it does not answer, while all nodes get several times the limit. Meanwhile each
 * node decides by its local share. The proof checks:
 * - Together the nodes admit about the limit: not more, and not nothing.
 * - No request waits long for Redis.
 * - When Redis is back, the limit is exact again.
 */
const WINDOW_SECONDS = 2;
const WINDOW_MS = WINDOW_SECONDS * 1000;
const LIMIT = 150;
const PER_SECOND = 300;
const CONNECTIONS = 96;
const WINDOWS_BEFORE = 3;
const WINDOWS_AWAY = 5;
const WINDOWS_AFTER = 5;
/** A node finds Redis again within about a second. Windows in this time count as part of the outage. */
const FOUND_MS_MAX = 2 * WINDOW_MS;
/**
 * A window that is decided by local shares admits the limit, plus one per node because of rounding. In a window in which
 * Redis stops or returns, a node may not know what the other nodes have admitted, so up to this multiple is allowed.
 */
const FACTOR_IN_BETWEEN = 2;
const LEAST_SHARE = 0.5;

interface Outage {
  readonly name: string;
  readonly before: readonly Counted[];
  readonly away: readonly Counted[];
  readonly between: readonly Counted[];
  readonly after: readonly Counted[];
  readonly p99BeforeMs: number;
  readonly p99AwayMs: number;
  readonly maxAwayMs: number;
  readonly otherAnswers: number;
  readonly statuses: Record<string, number>;
}

export async function proveOutage(cluster: Cluster, hammer: Hammer): Promise<Part> {
  const redis = cluster.redis!;
  await editProduct(cluster, 'flespi', { perProduct: { limit: LIMIT, windowSeconds: WINDOW_SECONDS }, perVin: PLENTY });
  const token = await cluster.tokenOf({ partner: 'flespi' });
  const { vins } = cluster.installation.customers.bucket!;
  const requests = vins.slice(0, 20).map((vin) => intakeRequest('flespi', token, vin));
  const outages = [
    await runOutage(
      cluster,
      hammer,
      requests,
      'SIGKILL',
      () => redis.kill(),
      () => redis.start().then(() => raisePriority(redis.pid)),
    ),
    await runOutage(
      cluster,
      hammer,
      requests,
      'SIGSTOP',
      async () => redis.stop(),
      async () => redis.resume(),
    ),
  ];
  return toPart(outages, cluster.nodes.length);
}

async function runOutage(
  cluster: Cluster,
  hammer: Hammer,
  requests: readonly Uint8Array[],
  name: string,
  goAway: () => Promise<void>,
  comeBack: () => Promise<void>,
): Promise<Outage> {
  say(`outage: ${name} of Redis`);
  const beginMs = Math.ceil((Date.now() + 300) / WINDOW_MS) * WINDOW_MS;
  // In the middle of a window, when part of the limit is used.
  const goneMs = beginMs + WINDOWS_BEFORE * WINDOW_MS + WINDOW_MS / 4;
  const backMs = goneMs + WINDOWS_AWAY * WINDOW_MS;
  const untilMs = beginMs + (WINDOWS_BEFORE + WINDOWS_AWAY + WINDOWS_AFTER) * WINDOW_MS;
  const running = hammer.run({
    ports: cluster.ports,
    connections: CONNECTIONS,
    requests,
    pace: { kind: 'open', perSecond: PER_SECOND, patienceMs: 5_000 },
    fromMs: beginMs,
    untilMs,
  });
  await delay(goneMs - Date.now());
  await goAway();
  await delay(backMs - Date.now());
  await comeBack();
  const result = await running;
  const admitted: Asked[] = [];
  for (let place = 0; place < result.status.length; place += 1) {
    if (result.status[place] === 202)
      admitted.push({ sentMs: result.sentMs[place]!, answeredMs: result.answeredMs[place]! });
  }
  const windows = countPerWindow(admitted, WINDOW_SECONDS, beginMs, untilMs);
  const ended = ({ fromMs }: Counted) => fromMs + WINDOW_MS;
  const before = windows.filter((window) => ended(window) <= goneMs);
  const away = windows.filter((window) => window.fromMs >= goneMs && ended(window) <= backMs);
  const after = windows.filter((window) => window.fromMs >= backMs + FOUND_MS_MAX);
  const between = windows.filter((window) => ![before, away, after].some((some) => some.includes(window)));
  // The first windows are a warm-up and do not count.
  const waits = (fromMs: number, toMs: number) => latencies(result, fromMs, toMs);
  const statuses = countStatuses([result]);
  return {
    name,
    before,
    away,
    between,
    after,
    statuses,
    p99BeforeMs: percentile(waits(beginMs + WINDOW_MS, goneMs), 0.99),
    p99AwayMs: percentile(waits(goneMs, backMs), 0.99),
    maxAwayMs: percentile(waits(goneMs, backMs), 1),
    otherAnswers: Object.entries(statuses).reduce(
      (sum, [code, count]) => (/^(202|429)$/.test(code) ? sum : sum + count),
      0,
    ),
  };
}

/** Latencies of refusals in ms. A refusal is little more than the decision; an accepted request also waits for the disk. */
function latencies(result: Hammered, fromMs: number, toMs: number): number[] {
  const found: number[] = [];
  for (let place = 0; place < result.status.length; place += 1) {
    const sentMs = result.sentMs[place]!;
    if (result.status[place] === 429 && sentMs >= fromMs && sentMs < toMs)
      found.push(result.answeredMs[place]! - sentMs);
  }
  return found;
}

function toPart(outages: readonly Outage[], nodes: number): Part {
  const most = (windows: readonly Counted[]) => Math.max(0, ...windows.map(({ certain }) => certain));
  const least = (windows: readonly Counted[]) => Math.min(Infinity, ...windows.map(({ possible }) => possible));
  const list = (windows: readonly Counted[]) =>
    windows.map(({ certain, possible }) => (certain === possible ? certain : `${certain}-${possible}`)).join(' ');
  const goals: Goal[] = outages.flatMap((outage) => [
    atMost(`outage: ${outage.name}: admitted in a window without Redis`, most(outage.away), LIMIT + nodes),
    atLeast(`outage: ${outage.name}: admitted in a window without Redis`, least(outage.away), LIMIT * LEAST_SHARE),
    atMost(`outage: ${outage.name}: admitted in a window of change`, most(outage.between), LIMIT * FACTOR_IN_BETWEEN),
    atMost(`outage: ${outage.name}: admitted in a window afterwards`, most(outage.after), LIMIT),
    atLeast(`outage: ${outage.name}: admitted in a window afterwards`, least(outage.after), LIMIT * 0.99),
    atMost(`outage: ${outage.name}: p99 it adds, ms`, round(outage.p99AwayMs - outage.p99BeforeMs, 1), DECISION_MS_MAX),
    none(`outage: ${outage.name}: answers that are neither 202 nor 429`, outage.otherAnswers),
  ]);
  const text = formatTable([
    ['Redis', 'before', 'away', 'changing', 'afterwards', 'refusal p99 ms before', 'away', 'max away', 'answers'],
    ...outages.map((outage) => [
      outage.name,
      list(outage.before),
      list(outage.away),
      list(outage.between),
      list(outage.after),
      round(outage.p99BeforeMs, 1),
      round(outage.p99AwayMs, 1),
      round(outage.maxAwayMs, 1),
      Object.entries(outage.statuses)
        .map(([code, count]) => `${code} x ${count}`)
        .join(', '),
    ]),
  ]);
  return {
    title: `outage of Redis: ${nodes} nodes, limit ${LIMIT} per ${WINDOW_SECONDS} s, ${PER_SECOND} requests/s`,
    text: `Admitted per window (where a request spans a boundary, at least and at most):\n${text}`,
    figures: {
      limit: LIMIT,
      outages: outages.map((outage) => ({
        name: outage.name,
        mostAway: most(outage.away),
        leastAway: least(outage.away),
        mostBetween: most(outage.between),
        leastAfter: least(outage.after),
        mostAfter: most(outage.after),
        p99BeforeMs: round(outage.p99BeforeMs, 1),
        p99AwayMs: round(outage.p99AwayMs, 1),
        maxAwayMs: round(outage.maxAwayMs, 1),
      })),
    },
    goals,
  };
}
