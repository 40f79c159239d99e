import type { VehicleState } from '../vehicle.ts';
import type { DemoAsset } from '../world.ts';

/** The message format of one partner. It is pure: the same readings and times give the same JSON. */
export interface PartnerFormat {
  /** Maximum number of readings in a message. 1 if the format holds a single reading. */
  readonly readingsPerMessageMax: number;
  /** Time between the readings of the first hour, which is sent at the start. */
  readonly historyStepMs: number;
  /** Whether this partner sends an `Idempotency-Key`. */
  readonly sendsIdempotencyKey: boolean;
  /** Returns one message as a JSON value. `readings` has at least one reading, oldest first. `sentAtMs` is the sending time. */
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
