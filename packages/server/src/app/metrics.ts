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

export function createMetrics(parts: {
  database: { readonly host: Pick<PostgresHost, 'state'> };
  intakeLog: Pick<IntakeLog, 'backlog' | 'deferred'>;
  areLimitsShared: () => boolean;
  limitDecisionsByShare: () => number;
}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'gladhand_' });
  const requests = new Histogram({
    name: 'gladhand_http_request_seconds',
    help: 'Answered HTTP requests by route, method and status',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers,
  });
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
  new Gauge({
    name: 'gladhand_intake_backlog_envelopes',
    help: 'Envelopes accepted and not mapped yet',
    registers,
    async collect() {
      this.set(await parts.intakeLog.backlog().catch(() => Number.NaN));
    },
  });
  new Gauge({
    name: 'gladhand_intake_deferred_envelopes',
    help: 'Envelopes that wait for a node that has their product',
    registers,
    async collect() {
      const deferred = await parts.intakeLog.deferred().catch(() => undefined);
      this.set(deferred === undefined ? Number.NaN : [...deferred.values()].reduce((sum, count) => sum + count, 0));
    },
  });
  const expired = new Counter({
    name: 'gladhand_intake_expired_envelopes_total',
    help: 'Entries of the intake log that ended because their envelope was past its retention',
    registers,
  });
  new Gauge({
    name: 'gladhand_database_ready',
    help: '1 while PostgreSQL answers, 0 while it recovers',
    registers,
    collect() {
      this.set(parts.database.host.state === 'ready' ? 1 : 0);
    },
  });
  const sent = new Counter({
    name: 'gladhand_livefeed_records_sent_total',
    help: 'Records written to LiveFeed streams',
    registers,
  });
  let countsOfLiveFeed = () => ({ subscribers: 0, organizations: 0 });
  new Gauge({
    name: 'gladhand_livefeed_subscribers',
    help: 'LiveFeed streams that are open',
    registers,
    collect() {
      this.set(countsOfLiveFeed().subscribers);
    },
  });
  new Gauge({
    name: 'gladhand_livefeed_organizations',
    help: 'Organizations whose feed is followed by at least one LiveFeed stream',
    registers,
    collect() {
      this.set(countsOfLiveFeed().organizations);
    },
  });
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
  new Gauge({
    name: 'gladhand_limits_shared',
    help: '1 while limits are counted for all nodes together, 0 while this node goes by its share',
    registers,
    collect() {
      this.set(parts.areLimitsShared() ? 1 : 0);
    },
  });
  new Counter({
    name: 'gladhand_limits_by_share_total',
    help: 'Decisions by the share of this node, because what all nodes share was late or away: each may be one too many',
    registers,
    collect() {
      this.reset();
      this.inc(parts.limitDecisionsByShare());
    },
  });
  const overloads = new Counter({
    name: 'gladhand_intake_overload_refusals_total',
    help: 'Intake refused with 503 because of: database, stalled, slow, backlog, requests, bytes',
    labelNames: ['reason'],
    registers,
  });
  let stateOfIntake = () => ({ requests: 0, bytes: 0, isRefusing: false });
  const intakeGauge = (name: string, help: string, read: (state: ReturnType<typeof stateOfIntake>) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(stateOfIntake()));
      },
    });
  intakeGauge('gladhand_intake_requests', 'Intake requests that are under way', ({ requests }) => requests);
  intakeGauge(
    'gladhand_intake_request_bytes',
    'Bytes of their bodies, as announced until they are here, decoded',
    ({ bytes }) => bytes,
  );
  intakeGauge('gladhand_intake_refusing', '1 while all intake is refused with 503', ({ isRefusing }) =>
    isRefusing ? 1 : 0,
  );
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    onAnswered: ({ route, method, status, seconds }) =>
      requests.observe({ route, method, status: String(status) }, seconds),
    onSettled(settled, count) {
      envelopes.inc(count);
      records.inc({ outcome: 'added' }, settled.recordsAdded);
      records.inc({ outcome: 'repeated' }, settled.recordsRepeated);
      records.inc({ outcome: 'rejected' }, settled.rejects);
      unclaimed.inc(settled.unclaimed);
      expired.inc(settled.expired);
    },
    onSent: (records) => sent.inc(records),
    watchLiveFeed(counts) {
      countsOfLiveFeed = counts;
    },
    onLimit(limit, outcome) {
      let counts = decisions.get(limit);
      if (counts === undefined) {
        counts = { allowed: 0, refused: 0, 'would-refuse': 0 };
        decisions.set(limit, counts);
      }
      counts[outcome] += 1;
    },
    onOverload: (reason) => overloads.inc({ reason }),
    watchIntake(state) {
      stateOfIntake = state;
    },
  };
}
