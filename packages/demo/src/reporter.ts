import type { PartnerFormat } from './payloads/format.ts';
import { chanceAt } from './random.ts';
import { createVehicle, type Vehicle } from './vehicle.ts';
import type { DemoAsset } from './world.ts';

/**
 * The telematics device of one vehicle:
 * - Readings are sent in the order in which they were taken. Without coverage they are stored and sent later.
 * - A message is rendered once. Every retry sends the same bytes.
 * - A share of `REPEATED` of the accepted messages is sent again.
 * - The store is limited, as in a real device. Above half, readings are taken less often. When it is full, no more are
 *   taken. A stored reading is never discarded.
 */
export interface Reporter {
  readonly asset: DemoAsset;
  /** Takes the readings that are due by now. */
  sample(nowMs: number): void;
  /** The message to send now: the unanswered one, a repetition, or the next readings. Undefined without coverage. */
  next(nowMs: number): Message | undefined;
  /** Call it when the message was accepted, or when it will never be. The next message can then be sent. */
  settle(accepted: boolean, nowMs: number): void;
  /** True until the first message. That one takes about 10 ms more, because the vehicle has to be created. */
  readonly isFresh: boolean;
  readonly skipped: number;
}

export interface Message {
  readonly vin: string;
  readonly body: string;
  readonly idempotencyKey: string | undefined;
  readonly readings: number;
  /** The number of readings that were older than a minute when the message was made. */
  readonly lateReadings: number;
  readonly isRepetition: boolean;
}

const READINGS_KEPT_MAX = 1000;
const REPEATED = 0.03;
const LATE_MS = 60_000;
const PARKED_EVERY_MS = 15_000;
const ASLEEP_GAP_MS = 600_000;
const ASLEEP_EVERY_MS = 60_000;
const HOLE_WINDOW_MS = 720_000;
const HOLES_SHARE = 0.2;

export interface ReporterOptions {
  readonly asset: DemoAsset;
  readonly format: PartnerFormat;
  readonly startMs: number;
  /** How far back in time the first readings go. 0 for no history. */
  readonly historyMs: number;
  /** A fixed time between readings. Default: 4 to 8 s while driving (depends on the vehicle), 15 s while parked. */
  readonly everyMs?: number;
}

export function createReporter(options: ReporterOptions): Reporter {
  const { asset, format, startMs } = options;
  const { seed } = asset;
  const movingEveryMs = options.everyMs ?? 4000 + 250 * Math.floor(16 * chanceAt(seed, 11));
  /** The times of the stored readings. The values can be computed from them. */
  const kept: number[] = [];
  let vehicle: Vehicle | undefined;
  let nextAtMs = startMs - options.historyMs;
  let unanswered: Message | undefined;
  let repetition: { message: Message; dueMs: number } | undefined;
  let sequence = 0;
  let skipped = 0;

  const stateAt = (atMs: number) => {
    vehicle ??= createVehicle(asset);
    return vehicle.stateAt(atMs);
  };

  function stepAfter(atMs: number, nowMs: number): number {
    if (atMs < startMs) return Math.min(format.historyStepMs, startMs - atMs);
    if (atMs === startMs) return options.everyMs ?? movingEveryMs; // does not create the vehicle
    if (nowMs - atMs > ASLEEP_GAP_MS) return ASLEEP_EVERY_MS;
    const everyMs = options.everyMs ?? (stateAt(atMs).moving ? movingEveryMs : PARKED_EVERY_MS);
    return kept.length > READINGS_KEPT_MAX / 2 ? 4 * everyMs : everyMs;
  }

  function covered(nowMs: number): boolean {
    if (nowMs < startMs + 30_000) return true; // the first readings must not wait for coverage
    const window = Math.floor(nowMs / HOLE_WINDOW_MS);
    const fate = chanceAt(seed ^ 0xc07e, window);
    if (fate >= HOLES_SHARE) return true;
    const since = nowMs - window * HOLE_WINDOW_MS - fate * 1_500_000;
    return since < 0 || since > 60_000 + fate * 900_000;
  }

  function render(nowMs: number): Message {
    const instants = kept.splice(0, format.readingsPerMessageMax);
    const newestMs = instants.at(-1)!;
    return {
      vin: asset.vin,
      body: JSON.stringify(format.render(asset, instants.map(stateAt), nowMs)),
      idempotencyKey: format.sendsIdempotencyKey ? `${asset.devices[0]!.externalId}-${nowMs}-${newestMs}` : undefined,
      readings: instants.length,
      lateReadings: instants.filter((atMs) => nowMs - atMs > LATE_MS).length,
      isRepetition: false,
    };
  }

  return {
    asset,
    get isFresh() {
      return vehicle === undefined;
    },
    get skipped() {
      return skipped;
    },
    sample(nowMs) {
      while (nextAtMs <= nowMs) {
        if (kept.length < READINGS_KEPT_MAX) kept.push(nextAtMs);
        else skipped++;
        nextAtMs += stepAfter(nextAtMs, nowMs);
      }
    },
    next(nowMs) {
      if (!covered(nowMs)) return undefined;
      if (unanswered) return unanswered;
      if (repetition && repetition.dueMs <= nowMs) {
        unanswered = { ...repetition.message, isRepetition: true };
        repetition = undefined;
      } else if (kept.length > 0) {
        unanswered = render(nowMs);
      }
      return unanswered;
    },
    settle(accepted, nowMs) {
      const message = unanswered;
      unanswered = undefined;
      if (!accepted || !message || message.isRepetition) return;
      const fate = chanceAt(seed ^ 0x2e9e, sequence++);
      if (fate < REPEATED) repetition = { message, dueMs: nowMs + 3000 + (fate / REPEATED) * 20_000 };
    },
  };
}
