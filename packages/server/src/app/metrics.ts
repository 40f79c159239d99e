import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { Database } from '../database/database.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import type { Settled } from '../mapping/settle.ts';

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
}

export function createMetrics(parts: { database: Database; intakeLog: IntakeLog }): Metrics {
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
    },
    onSent: (records) => sent.inc(records),
    watchLiveFeed(counts) {
      countsOfLiveFeed = counts;
    },
  };
}
