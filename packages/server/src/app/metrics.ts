import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { PostgresHost } from '../database/database.ts';
import type { LimitOutcome } from '../edge/decision-counts.ts';
import type { OverloadReason } from '../intake/pressure.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import type { Settled } from '../processing/settle.ts';

/**
 * What an operator watches, in the Prometheus exposition format. Labels are routes, methods, statuses: never a VIN, a
 * key or an organization, so that the number of series is bounded by the code.
 */
export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
  onAnswered(answered: { route: string; method: string; status: number; seconds: number }): void;
  onSettled(settled: Settled, envelopes: number): void;
  onSent(records: number): void;
  /** From now on, `counts` tells what LiveFeed has open. */
  watchLiveFeed(counts: () => { readonly subscribers: number; readonly organizations: number }): void;
  /** A limit, by its name, said this to a request. */
  onLimit(limit: string, outcome: LimitOutcome): void;
  onOverload(reason: OverloadReason): void;
  /** From now on, `state` tells how much intake is under way. */
  watchIntake(state: () => { readonly requests: number; readonly bytes: number; readonly isRefusing: boolean }): void;
}

export interface MetricsParts {
  readonly database: { readonly host: Pick<PostgresHost, 'state'> };
  readonly intakeLog: Pick<IntakeLog, 'backlog' | 'deferred'>;
  readonly areLimitsShared: () => boolean;
  readonly limitDecisionsByShare: () => number;
}

export function createMetrics(parts: MetricsParts): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'gladhand_' });
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    ...countRequests(registry),
    ...countMapping(registry, parts),
    ...countLiveFeed(registry),
    ...countLimits(registry, parts),
    ...countIntake(registry),
  };
}

/** A gauge that asks `read` whenever the metrics are fetched. */
function gauge(registry: Registry, name: string, help: string, read: () => number | Promise<number>): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    async collect() {
      this.set(await read());
    },
  });
}

function countRequests(registry: Registry): Pick<Metrics, 'onAnswered'> {
  const requests = new Histogram({
    name: 'gladhand_http_request_seconds',
    help: 'Answered HTTP requests by route, method and status',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  return {
    onAnswered: ({ route, method, status, seconds }) =>
      requests.observe({ route, method, status: String(status) }, seconds),
  };
}

function countMapping(registry: Registry, { database, intakeLog }: MetricsParts): Pick<Metrics, 'onSettled'> {
  const registers = [registry];
  const envelopes = new Counter({ name: 'gladhand_mapping_envelopes_total', help: 'Envelopes mapped', registers });
  const records = new Counter({
    name: 'gladhand_mapping_records_total',
    help: 'Records by what became of them: added, repeated, rejected',
    labelNames: ['outcome'],
    registers,
  });
  const unclaimed = new Counter({
    name: 'gladhand_mapping_unclaimed_envelopes_total',
    help: 'Envelopes that wait for a registration',
    registers,
  });
  const expired = new Counter({
    name: 'gladhand_intake_expired_envelopes_total',
    help: 'Entries of the intake log that ended because their envelope was past its retention',
    registers,
  });
  // NaN says that nobody knows: the database does not answer.
  gauge(registry, 'gladhand_intake_backlog_envelopes', 'Envelopes accepted and not mapped yet', () =>
    intakeLog.backlog().catch(() => Number.NaN),
  );
  gauge(registry, 'gladhand_intake_deferred_envelopes', 'Envelopes that wait for a node that has their product', () =>
    intakeLog.deferred().then(
      (deferred) => [...deferred.values()].reduce((sum, count) => sum + count, 0),
      () => Number.NaN,
    ),
  );
  gauge(registry, 'gladhand_database_ready', '1 while PostgreSQL answers, 0 while it recovers', () =>
    database.host.state === 'ready' ? 1 : 0,
  );
  return {
    onSettled(settled, count) {
      envelopes.inc(count);
      records.inc({ outcome: 'added' }, settled.recordsAdded);
      records.inc({ outcome: 'repeated' }, settled.recordsRepeated);
      records.inc({ outcome: 'rejected' }, settled.rejects);
      unclaimed.inc(settled.unclaimed);
      expired.inc(settled.expired);
    },
  };
}

function countLiveFeed(registry: Registry): Pick<Metrics, 'onSent' | 'watchLiveFeed'> {
  const sent = new Counter({
    name: 'gladhand_livefeed_records_sent_total',
    help: 'Records written to LiveFeed streams',
    registers: [registry],
  });
  let countsOfLiveFeed = () => ({ subscribers: 0, organizations: 0 });
  gauge(
    registry,
    'gladhand_livefeed_subscribers',
    'LiveFeed streams that are open',
    () => countsOfLiveFeed().subscribers,
  );
  gauge(
    registry,
    'gladhand_livefeed_organizations',
    'Organizations whose feed is followed by at least one LiveFeed stream',
    () => countsOfLiveFeed().organizations,
  );
  return {
    onSent: (records) => sent.inc(records),
    watchLiveFeed(counts) {
      countsOfLiveFeed = counts;
    },
  };
}

function countLimits(registry: Registry, parts: MetricsParts): Pick<Metrics, 'onLimit'> {
  const registers = [registry];
  // Added up here and handed over when asked for: a counter with labels costs more than the decision it counts.
  const decisions = new Map<string, Record<LimitOutcome, number>>();
  new Counter({
    name: 'gladhand_limit_decisions_total',
    help: 'What each limit said: allowed, refused, would-refuse (it is only reported)',
    labelNames: ['limit', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const [limit, counts] of decisions) {
        for (const [outcome, count] of Object.entries(counts)) this.inc({ limit, outcome }, count);
      }
    },
  });
  gauge(
    registry,
    'gladhand_limits_shared',
    '1 while limits are counted for all nodes together, 0 while this node goes by its share',
    () => (parts.areLimitsShared() ? 1 : 0),
  );
  new Counter({
    name: 'gladhand_limits_by_share_total',
    help: 'Decisions by the share of this node, because what all nodes share was late or away: each may be one too many',
    registers,
    collect() {
      this.reset();
      this.inc(parts.limitDecisionsByShare());
    },
  });
  return {
    onLimit(limit, outcome) {
      let counts = decisions.get(limit);
      if (counts === undefined) {
        counts = { allowed: 0, refused: 0, 'would-refuse': 0 };
        decisions.set(limit, counts);
      }
      counts[outcome] += 1;
    },
  };
}

function countIntake(registry: Registry): Pick<Metrics, 'onOverload' | 'watchIntake'> {
  const overloads = new Counter({
    name: 'gladhand_intake_overload_refusals_total',
    help: 'Intake refused with 503 because of: database, stalled, slow, backlog, requests, bytes',
    labelNames: ['reason'],
    registers: [registry],
  });
  let stateOfIntake = () => ({ requests: 0, bytes: 0, isRefusing: false });
  gauge(registry, 'gladhand_intake_requests', 'Intake requests that are under way', () => stateOfIntake().requests);
  gauge(
    registry,
    'gladhand_intake_request_bytes',
    'Bytes of their bodies, as announced until they are here, decoded',
    () => stateOfIntake().bytes,
  );
  gauge(registry, 'gladhand_intake_refusing', '1 while all intake is refused with 503', () =>
    stateOfIntake().isRefusing ? 1 : 0,
  );
  return {
    onOverload: (reason) => overloads.inc({ reason }),
    watchIntake(state) {
      stateOfIntake = state;
    },
  };
}
