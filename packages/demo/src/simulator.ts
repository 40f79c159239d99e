import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { type Answer, createPartnerClient, type PartnerClient } from './partner-client.ts';
import { deliversafeFormat } from './payloads/deliversafe.ts';
import { flespiFormat } from './payloads/flespi.ts';
import type { PartnerFormat } from './payloads/format.ts';
import { samsaraFormat } from './payloads/samsara.ts';
import { traccarFormat } from './payloads/traccar.ts';
import { chanceAt } from './random.ts';
import { createReporter, type Message, type Reporter } from './reporter.ts';
import type { DemoAsset, DemoProduct, DemoWorld } from './world.ts';

/**
 * Four partners that send for the demo's vehicles, through the public HTTP API only.
 *
 * - The first readings are sent at once, with an hour of history. Readings of a vehicle stay in order.
 * - `Retry-After` is honoured. Without it, the wait doubles up to a minute.
 * - A message is given up only if the server refuses it for good.
 * - `stop` lets requests in progress finish for up to `DRAIN_MS`. It leaves no timer, socket or promise.
 * - Failures are logged and counted. Nothing is thrown for them.
 */
export interface Simulator {
  start(): void;
  stop(): Promise<void>;
  readonly sent: Readonly<SimulatorCounters>;
}

export interface SimulatorCounters {
  requests: number;
  /** Messages answered with 202. */
  accepted: number;
  /** Readings in accepted messages, without repetitions. */
  readings: number;
  lateReadings: number;
  /** Accepted messages that had been accepted before with the same bytes. */
  repetitions: number;
  /** Requests answered with 429. */
  throttled: number;
  /** Requests answered with 5xx, or without an answer. */
  unavailable: number;
  /** Requests answered with another 4xx. */
  refused: number;
  authentications: number;
  /** Readings that were not taken because a device's store was full. */
  skipped: number;
  /** Requests without an answer yet. */
  underWay: number;
}

export interface SimulatorOptions {
  readonly world: DemoWorld;
  /** One entry per partner. A vehicle sends only if its VIN is listed here or if it is a stranger. */
  readonly keys: readonly { readonly product: string; readonly key: string; readonly vins: readonly string[] }[];
  /** URL of the API without the base path: `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
  /** URL of the authentication API, if it has its own port. */
  readonly authenticationUrl?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tickMs?: number;
  readonly historyMs?: number;
}

const FORMATS: Readonly<Record<DemoProduct, PartnerFormat>> = {
  traccar: traccarFormat,
  samsara: samsaraFormat,
  flespi: flespiFormat,
  deliversafe: deliversafeFormat,
};
/** Maximum number of concurrent requests per partner. With 4, the first hour of 30 vehicles is sent in a few seconds. */
const IN_FLIGHT_MAX = 4;
const STRANGER_EVERY_MS = 60_000;
const WAIT_MS_MIN = 1000;
const WAIT_MS_MAX = 60_000;
const DRAIN_MS = 600;

interface Partner {
  readonly product: DemoProduct;
  readonly client: PartnerClient;
  /** A vehicle moves to the end after its turn, so that every vehicle gets a turn. */
  readonly vehicles: Sender[];
  inFlight: number;
  failures: number;
  pausedUntilMs: number;
}

interface Sender {
  readonly reporter: Reporter;
  busy: boolean;
  failures: number;
  pausedUntilMs: number;
}

export function createSimulator(options: SimulatorOptions): Simulator {
  const { world, clock, log } = options;
  const tickMs = options.tickMs ?? 1000;
  const counters = {
    requests: 0,
    accepted: 0,
    readings: 0,
    lateReadings: 0,
    repetitions: 0,
    throttled: 0,
    unavailable: 0,
    refused: 0,
  };
  const underWay = new Set<Promise<void>>();
  const told = new Set<string>();
  let partners: Partner[] = [];
  let cancelTick: (() => void) | undefined;
  let stopped: Promise<void> | undefined;

  function createPartner(entry: SimulatorOptions['keys'][number], startMs: number): Partner | undefined {
    const format = (FORMATS as Record<string, PartnerFormat | undefined>)[entry.product];
    if (!format) return undefined;
    const vins = new Set(entry.vins);
    const mine = (asset: DemoAsset) => asset.product === entry.product;
    const historyMs = options.historyMs ?? 3_600_000;
    const reporters = [
      ...world.assets
        .filter((asset) => mine(asset) && vins.has(asset.vin))
        .map((asset) => createReporter({ asset, format, startMs, historyMs })),
      ...world.strangers
        .filter(mine)
        .map((asset) => createReporter({ asset, format, startMs, historyMs: 0, everyMs: STRANGER_EVERY_MS })),
    ];
    return {
      product: entry.product as DemoProduct,
      client: createPartnerClient({ ...options, key: entry.key }),
      vehicles: reporters.map((reporter) => ({ reporter, busy: false, failures: 0, pausedUntilMs: 0 })),
      inFlight: 0,
      failures: 0,
      pausedUntilMs: 0,
    };
  }

  function tick(): void {
    const nowMs = clock.nowMs();
    for (const partner of partners) {
      for (const { reporter } of partner.vehicles) reporter.sample(nowMs);
      pump(partner);
    }
    cancelTick = clock.after(tickMs, tick);
  }

  function pump(partner: Partner): void {
    const nowMs = clock.nowMs();
    for (let turn = partner.vehicles.length; turn > 0; turn--) {
      // After a failure, one request at a time tests whether the server answers again.
      const inFlightMax = partner.failures > 0 ? 1 : IN_FLIGHT_MAX;
      if (stopped || partner.inFlight >= inFlightMax || partner.pausedUntilMs > nowMs) return;
      const sender = partner.vehicles.shift()!;
      partner.vehicles.push(sender);
      if (sender.busy || sender.pausedUntilMs > nowMs) continue;
      const { isFresh } = sender.reporter;
      const message = sender.reporter.next(nowMs);
      if (!message) continue;
      sender.busy = true;
      partner.inFlight++;
      const sending = send(partner, sender, message).finally(() => underWay.delete(sending));
      underWay.add(sending);
      // One new vehicle at a time: creating all at once would block the server that runs in the same process.
      if (isFresh) return;
    }
  }

  async function send(partner: Partner, sender: Sender, message: Message): Promise<void> {
    counters.requests++;
    const answer = await partner.client.post(message.vin, message.body, message.idempotencyKey);
    sender.busy = false;
    partner.inFlight--;
    judge(partner, sender, message, answer);
    pump(partner);
  }

  function judge(partner: Partner, sender: Sender, message: Message, answer: Answer): void {
    const nowMs = clock.nowMs();
    const { status } = answer;
    if (status === 202) {
      partner.failures = 0;
      sender.failures = 0;
      counters.accepted++;
      if (message.isRepetition) counters.repetitions++;
      else {
        counters.readings += message.readings;
        counters.lateReadings += message.lateReadings;
      }
      sender.reporter.settle(true, nowMs);
    } else if (status === 429 && answer.stage === 'intake') {
      // The limit applies to the vehicle. The partner's other vehicles continue.
      counters.throttled++;
      sender.pausedUntilMs = nowMs + waitMs(answer, ++sender.failures, sender.reporter.asset.seed);
    } else if (status === 0 || status === 429 || status >= 500 || answer.stage === 'authentication' || status === 401) {
      if (status === 429) counters.throttled++;
      else if (status === 0 || status >= 500) counters.unavailable++;
      else counters.refused++;
      // Concurrent requests that fail together count as one failure.
      if (partner.failures === 0 || partner.pausedUntilMs <= nowMs) partner.failures++;
      const untilMs = nowMs + waitMs(answer, partner.failures, sender.reporter.asset.seed);
      partner.pausedUntilMs = Math.max(partner.pausedUntilMs, untilMs);
      if (!stopped && status > 0 && status !== 503) tell(partner, answer);
    } else {
      counters.refused++;
      sender.reporter.settle(false, nowMs);
      tell(partner, answer);
    }
  }

  /** Logs a refusal once per partner and status, so that a demo that is always refused does not fill the log. */
  function tell(partner: Partner, answer: Answer): void {
    const what = `${partner.product} ${answer.stage} ${answer.status}`;
    if (told.has(what)) return;
    told.add(what);
    log.warn(
      { product: partner.product, stage: answer.stage, status: answer.status, answer: answer.text.slice(0, 500) },
      'the demo was refused',
    );
  }

  return {
    get sent() {
      return {
        ...counters,
        authentications: partners.reduce((sum, partner) => sum + partner.client.authentications, 0),
        underWay: underWay.size,
        skipped: partners.reduce((sum, { vehicles }) => sum + vehicles.reduce((n, v) => n + v.reporter.skipped, 0), 0),
      };
    },
    start() {
      if (partners.length > 0 || stopped) throw new Error('a simulator is started once');
      const startMs = clock.nowMs();
      partners = options.keys.flatMap((entry) => createPartner(entry, startMs) ?? []);
      tick();
    },
    stop() {
      stopped ??= (async () => {
        cancelTick?.();
        let cancelWait = () => {};
        const patience = new Promise<void>((resolve) => {
          cancelWait = clock.after(DRAIN_MS, resolve);
        });
        await Promise.race([Promise.all(underWay), patience]);
        cancelWait();
        for (const partner of partners) partner.client.close();
        await Promise.all(underWay);
      })();
      return stopped;
    },
  };
}

/** The server's `Retry-After`, or 1 s that doubles up to a minute. Up to 20 % is added so that vehicles do not retry together. */
function waitMs(answer: Answer, failures: number, seed: number): number {
  const askedMs = answer.retryAfterMs ?? Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** (failures - 1));
  return askedMs * (1 + 0.2 * chanceAt(seed, failures));
}
