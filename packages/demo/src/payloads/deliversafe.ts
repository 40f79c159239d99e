import type { VehicleState } from '../vehicle.ts';
import type { PartnerFormat } from './format.ts';

/** DeliverSafe unit report (products/deliversafe/README.md): one unit with a list of reports, in canonical names and units. */
export const deliversafeFormat: PartnerFormat = {
  readingsPerMessageMax: 60,
  historyStepMs: 30_000,
  sendsIdempotencyKey: true,
  render(asset, readings, sentAtMs) {
    return {
      unit: { serial: asset.serialNumber, firmware: `3.4.${asset.seed % 4}` },
      sentAt: new Date(sentAtMs).toISOString(),
      reports: readings.map(report),
    };
  },
};

/** The distance that the reversing aid reports if nothing is in range. */
const NOTHING_IN_RANGE_M = 25.5;

function report(state: VehicleState) {
  const { gps, power, safety } = state;
  return {
    at: new Date(state.atMs).toISOString(),
    position: gps,
    odometerM: state.odometerM,
    moving: state.moving,
    ignition: power.ignitionOn ? 'on' : 'off',
    power: {
      source: power.source,
      externalV: power.externalV,
      batteryV: power.batteryV,
      batterySocPct: power.batterySocPct,
    },
    doors: [{ id: 'rear', state: state.door?.open ? 'open' : 'closed' }],
    ...(safety && {
      liftgate: safety.liftgate,
      backup: { ...safety.backup, proximityM: safety.backup.proximityM ?? NOTHING_IN_RANGE_M },
      cameras: safety.cameras,
    }),
  };
}
