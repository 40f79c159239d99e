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
 * Four partners who send for the demo's vehicles. Promise: they use the public HTTP API and nothing else; the first
 * readings leave at once with an hour of history; order holds per vehicle; `Retry-After` is honoured, and without one
 * the wait doubles up to a minute; nothing is given up but what the server refuses for good. `stop` lets requests under
 * way finish for `DRAIN_MS` and leaves no timer, socket or promise behind. Failures are logged and counted, not thrown.
 */
export interface Simulator {
  start(): void;
  stop(): Promise<void>;
  readonly sent: Readonly<SimulatorCounters>;
}

export interface SimulatorCounters {
  requests: number;
  /** Answered 202. */
  accepted: number;
  /** Readings in accepted messages, repetitions not counted. */
  readings: number;
  lateReadings: number;
  /** Accepted messages whose bytes had been accepted before. */
  repetitions: number;
  /** Answered 429. */
  throttled: number;
  /** Answered 5xx, or not at all. */
  unavailable: number;
  /** Answered with another 4xx. */
  refused: number;
  authentications: number;
  /** Readings not taken because a device was full. */
  skipped: number;
  /** Requests that have no answer yet. */
  underWay: number;
}

export interface SimulatorOptions {
  readonly world: DemoWorld;
  /** One partner each. Vehicles of the product whose VIN is not named here stay silent, strangers excepted. */
  readonly keys: readonly { readonly product: string; readonly key: string; readonly vins: readonly string[] }[];
  /** Where the API is, without the base path: `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
  /** Where the authentication API is, when it has a port of its own. */
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
/** Requests one partner has under way at most; the first hour of 30 vehicles is through in a few seconds. */
const IN_FLIGHT_MAX = 4;
const STRANGER_EVERY_MS = 60_000;
const WAIT_MS_MIN = 1000;
const WAIT_MS_MAX = 60_000;
const DRAIN_MS = 600;

interface Partner {
  readonly product: DemoProduct;
  readonly client: PartnerClient;
  /** Rotated as they are served, so that everyone gets a turn. */
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
      // After a failure one request at a time finds out whether the server is back.
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
      // One new vehicle at a time: making them all at once would hold up the server this runs in.
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
      // The limit is the vehicle's; its partner's other vehicles go on.
      counters.throttled++;
      sender.pausedUntilMs = nowMs + waitMs(answer, ++sender.failures, sender.reporter.asset.seed);
    } else if (status === 0 || status === 429 || status >= 500 || answer.stage === 'authentication' || status === 401) {
      if (status === 429) counters.throttled++;
      else if (status === 0 || status >= 500) counters.unavailable++;
      else counters.refused++;
      // Requests that fail together are one failure.
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

  /** Once per partner and status: a demo that is refused everything must not fill the log. */
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

/** What the server asks for, or 1 s doubling to a minute; up to a fifth more so that vehicles do not return as one. */
function waitMs(answer: Answer, failures: number, seed: number): number {
  const askedMs = answer.retryAfterMs ?? Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** (failures - 1));
  return askedMs * (1 + 0.2 * chanceAt(seed, failures));
}
