import type { VehicleState } from '../vehicle.ts';
import type { DemoAsset } from '../world.ts';

/** How one partner writes a message. Pure: the same readings and instants give the same JSON. */
export interface PartnerFormat {
  /** 1 where the format holds a single reading. */
  readonly readingsPerMessageMax: number;
  /** Distance of the readings of the first hour, sent at the start. */
  readonly historyStepMs: number;
  /** Whether this partner sends an `Idempotency-Key`. */
  readonly sendsIdempotencyKey: boolean;
  /** JSON value of one message: `readings` (at least one) from oldest to newest, handed over at `sentAtMs`. */
  render(asset: DemoAsset, readings: readonly VehicleState[], sentAtMs: number): unknown;
}

const KPH_PER_KNOT = 1.852;
const KPH_PER_MPH = 1.609344;

export function knots(kph: number): number {
  return kph / KPH_PER_KNOT;
}

export function milesPerHour(kph: number): number {
  return kph / KPH_PER_MPH;
}

/** RFC 3339 in UTC with whole seconds: `2026-11-20T14:02:58Z`. */
export function secondsIso(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z`;
}
