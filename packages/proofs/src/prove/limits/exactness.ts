import { atMost, type Goal, say } from '../../rig/report.ts';
import { formatTable, round } from '../../rig/table.ts';
import { delay } from '../../rig/wait.ts';
import { type Admitted, type Asked, type Budget, bucketBudget, checkAdmitted, windowBudget } from './check-admitted.ts';
import type { Cluster } from './cluster.ts';
import { countStatuses, getRequest, type Hammer, type Hammered } from './hammer.ts';
import {
  AUTHENTICATE_LIMIT,
  AUTHENTICATE_WINDOW_SECONDS,
  editPlan,
  editProduct,
  PLENTY,
  readDecisionsByShare,
} from './limit-settings.ts';
import { none, type Part } from './part.ts';
import { authenticateRequest, intakeRequest } from './requests.ts';

/**
 * Sends several times what each limit admits to all nodes at once. The limit must admit its budget and no more.
 *
 * If Redis answers too late, a node decides by its local share, and each such decision may admit one request too many. The
 * nodes report how many they made. More excess than that is an error. A limit is proved only by a run without such
 * decisions, which may take several attempts on a machine with other load.
 */
export interface ExactnessOptions {
  readonly name: string;
  /** For how many windows each limit is under load. */
  readonly windows: number;
  readonly connections: number;
}

const WINDOW_SECONDS = 2;
const VIN_LIMIT = 100;
const PRODUCT_LIMIT = 300;
const CAPACITY = 150;
const REFILL_PER_SECOND = 75;
/** Requests per second of all connections together: well above every limit, but below what the machine can answer. */
const ASKED_PER_SECOND = 600;
/** A run begins and ends this far from a window boundary, so that its first and last window are known. */
const MARGIN_MS = 200;
const SHORT_PERCENT_MAX = 1;
const PRODUCT_VINS = 20;
const TRIES_MAX = 4;
/** Each attempt uses new keys, because a key's window is too long to wait for the next one. */
const KEYS_PER_TRY = 20;
export const KEYS = KEYS_PER_TRY * TRIES_MAX;
/** After this time an empty bucket is full again. */
const REST_MS = (CAPACITY / REFILL_PER_SECOND + 1) * 1000;

interface Limit {
  readonly name: string;
  readonly budget: Budget;
  /** The requests of one attempt. */
  requests(attempt: number): readonly Uint8Array[];
  readonly windows: number;
  /** True if each request has a limit of its own. */
  readonly isPerRequest: boolean;
}

interface Outcome {
  readonly name: string;
  readonly asked: number;
  readonly worst: Admitted;
  readonly admitted: number;
  readonly admissible: number;
  readonly statuses: Record<string, number>;
  /** Admissions above the limit, added up over all requests that have their own limit. */
  readonly over: number;
  /** The number of decisions without Redis in each attempt, up to and including this one. */
  readonly byShare: readonly number[];
  /** Admissions above the limit that decisions without Redis do not explain: the maximum of all attempts. */
  readonly overUnexplained: number;
  /** Damages that were put into the measurement and that the check did not find. */
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

/** Repeats the load until Redis made all decisions and demand was always above the limit. Returns the last attempt. */
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
      `${limit.name}: ${byShare.at(-1)} decisions without Redis, ${outcome.worst.stepsWithoutRefusal} windows without enough demand; another attempt follows`,
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

/** A time span that starts a margin after the next boundary and ends a margin before another boundary. */
function spanOf(stepMs: number, steps: number): [fromMs: number, untilMs: number] {
  const soonMs = Date.now() + MARGIN_MS;
  if (stepMs < 10_000) {
    const beginMs = Math.ceil(soonMs / stepMs) * stepMs;
    return [beginMs + MARGIN_MS, beginMs + steps * stepMs - MARGIN_MS];
  }
  // The next boundary of a long window may be far away. The load starts now, unless the boundary is near.
  const leftMs = stepMs - (soonMs % stepMs);
  const fromMs = leftMs > LONG_MS + MARGIN_MS ? soonMs : soonMs + leftMs + MARGIN_MS;
  return [fromMs, fromMs + LONG_MS];
}

const LONG_MS = 4_000;

/** The admitted requests, or those refused with 429. `request` selects one request; undefined selects all. */
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

/** Tests the check itself: it must find one admission too many, and 3 % too few. Returns the damages it does not find. */
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
    ['', 'asked', 'admitted', 'admissible', 'over', 'short %', 'without Redis, per attempt', 'answers'],
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
    none(
      `${options.name}: ${name}: over the limit in any attempt, not explained by decisions without Redis`,
      overUnexplained,
    ),
    none(`${options.name}: ${name}: decisions without Redis in the last attempt`, byShare.at(-1)!),
    atMost(`${options.name}: ${name}: below the limit, %`, round(worst.shortPercent, 2), SHORT_PERCENT_MAX),
    none(`${options.name}: ${name}: windows without enough demand`, worst.stepsWithoutRefusal),
  ]);
  const missed = outcomes.flatMap((outcome) => outcome.missed);
  return {
    title: `${options.name}: ${cluster.nodes.length} node${cluster.nodes.length > 1 ? 's' : ''}, ${options.connections} connections`,
    text: [text, ...missed.map((what) => `The check did not find ${what}.`)].join('\n'),
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
      none(`${options.name}: damages the check did not find`, missed.length),
    ],
  };
}
