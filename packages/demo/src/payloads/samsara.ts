import type { VehicleState } from '../vehicle.ts';
import { milesPerHour, type PartnerFormat, secondsIso } from './format.ts';

/** Samsara trailer stats feed page: one trailer, an array per signal, a time per value. Units are millidegrees and mph. */
export const samsaraFormat: PartnerFormat = {
  readingsPerMessageMax: 60,
  historyStepMs: 30_000,
  sendsIdempotencyKey: false,
  render(asset, readings, sentAtMs) {
    const newest = readings.at(-1)!;
    return {
      data: [
        {
          id: String(281_474_900_000_000 + (asset.seed % 90_000_000)),
          name: asset.name,
          externalIds: { 'samsara.vin': asset.vin, 'samsara.serial': asset.devices[0]!.externalId },
          gps: readings.map((state) => ({ time: secondsIso(state.atMs), ...fix(state) })),
          gpsOdometerMeters: readings.map((state) => ({ time: secondsIso(state.atMs), value: state.odometerM })),
          ...(newest.reefer && refrigeration(readings)),
        },
      ],
      pagination: {
        endCursor: Buffer.from(String(Math.floor(sentAtMs / 1000))).toString('base64url'),
        hasNextPage: false,
      },
    };
  },
};

function fix(state: VehicleState) {
  return {
    latitude: state.gps.latitude,
    longitude: state.gps.longitude,
    headingDegrees: state.gps.headingDeg,
    speedMilesPerHour: Math.round(milesPerHour(state.gps.speedKph) * 10) / 10,
  };
}

/** Temperatures of every reading, rarely changing values at most twice a minute, and the door with the time of its change. */
function refrigeration(readings: readonly VehicleState[]) {
  const newest = readings.at(-1)!;
  const time = secondsIso(newest.atMs);
  const reefer = newest.reefer!;
  const milliC = (value: number) => Math.round(value * 1000);
  const temperatures = (pick: (state: VehicleState) => number) =>
    readings.map((state) => ({ time: secondsIso(state.atMs), value: milliC(pick(state)) }));
  const state = reefer.mode === 'off' ? { value: 'Off' } : { value: 'On', substateValue: SUBSTATES[reefer.mode] };
  return {
    reeferReturnAirTemperatureMilliCZone1: temperatures((each) => each.reefer!.returnAirC),
    reeferSupplyAirTemperatureMilliCZone1: temperatures((each) => each.reefer!.dischargeAirC),
    reeferDoorStateZone1: doorChanges(readings),
    ...((readings.length > 1 || newest.atMs % 60_000 < SELDOM_WITHIN_MS) && {
      reeferSetPointTemperatureMilliCZone1: [{ time, value: milliC(reefer.setpointC) }],
      reeferStateZone1: [{ time, ...state }],
      reeferRunMode: [{ time, value: reefer.runMode === 'continuous' ? 'Continuous' : 'Start/Stop' }],
      reeferFuelPercent: [{ time, value: reefer.fuelPct }],
      reeferObdEngineSeconds: [{ time, value: Math.round(reefer.engineHours * 3600) }],
      reeferAlarms: [
        {
          time,
          alarms: reefer.alarms.map((alarm) => ({
            alarmCode: alarm.code,
            description: alarm.description,
            operatorAction: 'Check and repair at end of trip',
            severity: 2,
          })),
        },
      ],
    }),
  };
}

const SELDOM_WITHIN_MS = 15_000;

function doorChanges(readings: readonly VehicleState[]) {
  const changes = new Map(readings.map((state) => [secondsIso(state.door!.changedAtMs), state.door!.open]));
  return [...changes].map(([time, open]) => ({ time, value: open ? 'open' : 'closed' }));
}

const SUBSTATES = { cooling: 'Cooling', heating: 'Heating', defrost: 'Defrost', null: 'Null' } as const;
