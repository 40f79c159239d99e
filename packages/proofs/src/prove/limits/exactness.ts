import { atMost, type Goal, say } from '../../rig/report.ts';
import { formatTable, round } from '../../rig/table.ts';
import { delay } from '../../rig/wait.ts';
import { type Admitted, type Asked, type Budget, bucketBudget, checkAdmitted, windowBudget } from './admitted.ts';
import type { Cluster } from './cluster.ts';
import { countStatuses, getRequest, type Hammer, type Hammered } from './hammer.ts';
import {
  AUTHENTICATE_LIMIT,
  AUTHENTICATE_WINDOW_SECONDS,
  editPlan,
  editProduct,
  PLENTY,
  readDecisionsByShare,
} from './knobs.ts';
import { none, type Part } from './part.ts';
import { authenticateRequest, intakeRequest } from './requests.ts';

/**
 * Each limit is asked for several times what it admits, over all nodes at once: it admits that much and no more. A node
 * that waited too long for Redis decides by its share, which may be one too many each time: how many such decisions
 * there were is asked of the nodes, nothing beyond them is forgiven, and a limit counts as proved only by a run without
 * any. On a machine that is busy with other things that may take several tries.
 */
export interface ExactnessOptions {
  readonly name: string;
  /** How many windows each limit is hammered for. */
  readonly windows: number;
  readonly connections: number;
}

const WINDOW_SECONDS = 2;
const VIN_LIMIT = 100;
const PRODUCT_LIMIT = 300;
const CAPACITY = 150;
const REFILL_PER_SECOND = 75;
/** Of all connections together: enough above every limit, and not so much that the machine itself refuses. */
const ASKED_PER_SECOND = 600;
/** A run begins and ends so far from a boundary, so that its first and last window are known. */
const MARGIN_MS = 200;
const SHORT_PERCENT_MAX = 1;
const PRODUCT_VINS = 20;
const TRIES_MAX = 4;
/** Each try has keys of its own, because a key's window is too long to wait for the next. */
const KEYS_PER_TRY = 20;
export const KEYS = KEYS_PER_TRY * TRIES_MAX;
/** An emptied bucket is full again. */
const REST_MS = (CAPACITY / REFILL_PER_SECOND + 1) * 1000;

interface Limit {
  readonly name: string;
  readonly budget: Budget;
  /** Of one try. */
  requests(attempt: number): readonly Uint8Array[];
  readonly windows: number;
  /** Each of them is limited by itself. */
  readonly isPerRequest: boolean;
}

interface Outcome {
  readonly name: string;
  readonly asked: number;
  readonly worst: Admitted;
  readonly admitted: number;
  readonly admissible: number;
  readonly statuses: Record<string, number>;
  /** Beyond the limit, of all that are limited by themselves together. */
  readonly over: number;
  /** Decisions that were made without Redis, of all tries: this one's last. */
  readonly byShare: readonly number[];
  /** The most that any try admitted beyond the limit and beyond its decisions without Redis. */
  readonly overUnexplained: number;
  /** Damages put into what was measured that the check did not find. */
  readonly missed: readonly string[];
}

export async function proveExactness(cluster: Cluster, hammer: Hammer, options: ExactnessOptions): Promise<Part> {
  const { installation } = cluster;
  await editProduct(cluster, 'traccar', {
    perProduct: null,
    perVin: { limit: VIN_LIMIT, windowSeconds: WINDOW_SECONDS },
  });
  await editProduct(cluster, 'flespi', {
    perProduct: { limit: PRODUCT_LIMIT, windowSeconds: WINDOW_SECONDS },
    perVin: PLENTY,
  });
  await editPlan(cluster, 'bucket', { readCapacity: CAPACITY, readRefillPerSecond: REFILL_PER_SECOND });
  const bucketToken = await cluster.tokenOf({ customer: 'bucket' });
  const { vins, fleetId } = installation.customers.bucket!;
  const traccar = await cluster.tokenOf({ partner: 'traccar' });
  const flespi = await cluster.tokenOf({ partner: 'flespi' });
  const limits: Limit[] = [
    {
      name: 'intake, one VIN',
      budget: windowBudget(VIN_LIMIT, WINDOW_SECONDS),
      requests: () => [intakeRequest('traccar', traccar, vins[0]!)],
      windows: options.windows,
      isPerRequest: false,
    },
    {
      name: 'intake, one product',
      budget: windowBudget(PRODUCT_LIMIT, WINDOW_SECONDS),
      requests: () => vins.slice(0, PRODUCT_VINS).map((vin) => intakeRequest('flespi', flespi, vin)),
      windows: options.windows,
      isPerRequest: false,
    },
    {
      name: 'reads of one customer',
      budget: bucketBudget(CAPACITY, REFILL_PER_SECOND),
      requests: () => [getRequest(`/api/v1/fleets/${fleetId}`, bucketToken)],
      windows: 2 * options.windows,
      isPerRequest: false,
    },
    {
      name: 'authenticate, each key',
      budget: windowBudget(AUTHENTICATE_LIMIT, AUTHENTICATE_WINDOW_SECONDS),
      requests: (attempt) =>
        installation.customers
          .doors!.keys.slice(attempt * KEYS_PER_TRY, (attempt + 1) * KEYS_PER_TRY)
          .map((key, place) => authenticateRequest(key, attempt * KEYS_PER_TRY + place)),
      windows: 1,
      isPerRequest: true,
    },
  ];
  const outcomes: Outcome[] = [];
  for (const limit of limits) {
    say(`${options.name}: ${limit.name}`);
    outcomes.push(await hammerUntilShared(cluster, hammer, limit, options.connections));
  }
  return toPart(options, cluster, outcomes);
}

/** The last try: the first in which Redis decided everything and demand was there all the time, if there was one. */
async function hammerUntilShared(
  cluster: Cluster,
  hammer: Hammer,
  limit: Limit,
  connections: number,
): Promise<Outcome> {
  const byShare: number[] = [];
  let overUnexplained = 0;
  for (let attempt = 0; ; attempt += 1) {
    if (attempt > 0) await delay(REST_MS);
    const before = await readDecisionsByShare(cluster);
    const outcome = await hammerOne(cluster, hammer, limit, connections, attempt);
    byShare.push((await readDecisionsByShare(cluster)) - before);
    overUnexplained = Math.max(overUnexplained, outcome.over - byShare.at(-1)!);
    const isTelling = byShare.at(-1) === 0 && outcome.worst.stepsWithoutRefusal === 0;
    if (isTelling || byShare.length === TRIES_MAX) return { ...outcome, byShare, overUnexplained };
    say(
      `${limit.name}: ${byShare.at(-1)} decisions without Redis, ${outcome.worst.stepsWithoutRefusal} windows without enough demand; once more`,
    );
  }
}

async function hammerOne(
  cluster: Cluster,
  hammer: Hammer,
  limit: Limit,
  connections: number,
  attempt: number,
): Promise<Outcome> {
  const requests = limit.requests(attempt);
  const stepMs = limit.budget.stepSeconds * 1000;
  const [fromMs, untilMs] = spanOf(stepMs, limit.windows);
  const result = await hammer.run({
    ports: cluster.ports,
    connections,
    requests,
    pace: { kind: 'closed', pauseMs: (connections / ASKED_PER_SECOND) * 1000 },
    fromMs,
    untilMs,
  });
  const groups = limit.isPerRequest ? requests.map((_, request) => request) : [undefined];
  const asked = groups.map((group) => ({
    admitted: askedWith(result, true, group),
    refused: askedWith(result, false, group),
  }));
  const checks = asked.map(({ admitted, refused }) => checkAdmitted(admitted, refused, limit.budget));
  const sum = (read: (check: Admitted) => number) => checks.reduce((total, check) => total + read(check), 0);
  const most = (read: (check: Admitted) => number) => Math.max(...checks.map(read));
  const worst: Admitted = {
    ...checks[0]!,
    over: most(({ over }) => over),
    shortPercent: most(({ shortPercent }) => shortPercent),
    stepsWithoutRefusal: most(({ stepsWithoutRefusal }) => stepsWithoutRefusal),
  };
  return {
    name: limit.name,
    asked: result.status.length,
    worst,
    admitted: sum(({ admitted }) => admitted),
    admissible: sum(({ admissible }) => admissible),
    statuses: countStatuses([result]),
    over: sum(({ over }) => over),
    byShare: [],
    overUnexplained: 0,
    missed: missedDamages(asked[0]!.admitted, asked[0]!.refused, limit),
  };
}

/** Begins soon, a margin after a boundary, and ends a margin before another one. */
function spanOf(stepMs: number, steps: number): [fromMs: number, untilMs: number] {
  const soonMs = Date.now() + MARGIN_MS;
  if (stepMs < 10_000) {
    const beginMs = Math.ceil(soonMs / stepMs) * stepMs;
    return [beginMs + MARGIN_MS, beginMs + steps * stepMs - MARGIN_MS];
  }
  // Long windows are not waited for, only their ends.
  const leftMs = stepMs - (soonMs % stepMs);
  const fromMs = leftMs > LONG_MS + MARGIN_MS ? soonMs : soonMs + leftMs + MARGIN_MS;
  return [fromMs, fromMs + LONG_MS];
}

const LONG_MS = 4_000;

/** What was let in, or what was refused with 429; of one request or of all. */
function askedWith(result: Hammered, isAdmitted: boolean, request: number | undefined): Asked[] {
  const asked: Asked[] = [];
  for (let place = 0; place < result.status.length; place += 1) {
    const status = result.status[place]!;
    if (request !== undefined && result.request[place] !== request) continue;
    if (isAdmitted ? status >= 200 && status < 300 : status === 429) {
      asked.push({ sentMs: result.sentMs[place]!, answeredMs: result.answeredMs[place]! });
    }
  }
  return asked;
}

/** The check is worth what it finds: one admission more than there is room for has to break it, and so have 3 % less. */
function missedDamages(admitted: readonly Asked[], refused: readonly Asked[], { name, budget }: Limit): string[] {
  const { admissible, over } = checkAdmitted(admitted, refused, budget);
  const tooMany = Math.max(1, admissible - admitted.length + 1);
  const more = [...admitted, ...Array.from({ length: tooMany }, () => admitted[0]!)];
  const lost = Math.ceil(admitted.length * 0.03) + 1;
  const less = admitted.slice(lost);
  return [
    ...(checkAdmitted(more, refused, budget).over > over ? [] : [`${name}: one admission too many`]),
    ...(checkAdmitted(less, refused, budget).shortPercent > SHORT_PERCENT_MAX
      ? []
      : [`${name}: ${lost} admissions less`]),
  ];
}

function toPart(options: ExactnessOptions, cluster: Cluster, outcomes: readonly Outcome[]): Part {
  const others = outcomes.reduce(
    (sum, { statuses }) =>
      sum + Object.entries(statuses).reduce((all, [code, count]) => (/^(2..|429)$/.test(code) ? all : all + count), 0),
    0,
  );
  const text = formatTable([
    ['', 'asked', 'admitted', 'admissible', 'over', 'short %', 'without Redis, per try', 'answers'],
    ...outcomes.map(({ name, asked, admitted, admissible, over, worst, byShare, statuses }) => [
      name,
      asked,
      admitted,
      admissible,
      over,
      round(worst.shortPercent, 2),
      byShare.join(' '),
      Object.entries(statuses)
        .map(([code, count]) => `${code} x ${count}`)
        .join(', '),
    ]),
  ]);
  const goals: Goal[] = outcomes.flatMap(({ name, over, overUnexplained, byShare, worst }) => [
    none(`${options.name}: ${name}: over the limit`, over),
    none(`${options.name}: ${name}: over it in any try, beyond decisions without Redis`, overUnexplained),
    none(`${options.name}: ${name}: decisions without Redis in the last try`, byShare.at(-1)!),
    atMost(`${options.name}: ${name}: short of it, %`, round(worst.shortPercent, 2), SHORT_PERCENT_MAX),
    none(`${options.name}: ${name}: windows without enough demand`, worst.stepsWithoutRefusal),
  ]);
  const missed = outcomes.flatMap((outcome) => outcome.missed);
  return {
    title: `${options.name}: ${cluster.nodes.length} node${cluster.nodes.length > 1 ? 's' : ''}, ${options.connections} connections`,
    text: [text, ...missed.map((what) => `The check did not notice ${what}.`)].join('\n'),
    figures: {
      outcomes: outcomes.map(({ name, asked, admitted, admissible, over, byShare, worst }) => ({
        name,
        asked,
        admitted,
        admissible,
        over,
        byShare,
        shortPercent: round(worst.shortPercent, 3),
      })),
      otherAnswers: others,
    },
    goals: [
      ...goals,
      none(`${options.name}: answers that are neither 2xx nor 429`, others),
      none(`${options.name}: damages the check did not notice`, missed.length),
    ],
  };
}
