import { chanceAt, noiseAt } from './random.ts';
import { doorAt, lagOverLap, round } from './signals.ts';
import type { Motion, Tour } from './trip.ts';

/**
 * A refrigeration unit with one zone. While the door is open, the air moves towards the outside temperature. Afterwards it
 * returns to the setpoint. Discharge air is colder than return air while cooling, and warmer while heating or defrosting.
 */
export interface Reefer {
  readonly powerOn: boolean;
  readonly runMode: 'continuous' | 'startStop';
  readonly fuelPct: number;
  readonly engineHours: number;
  readonly setpointC: number;
  readonly returnAirC: number;
  readonly dischargeAirC: number;
  readonly mode: 'cooling' | 'heating' | 'defrost' | 'null' | 'off';
  readonly alarms: readonly { readonly code: string; readonly description: string }[];
}

const HOURS_FROM_MS = Date.UTC(2026, 0, 1);
/** The fuel tank is filled at the home dock after this many laps. */
const REFUEL_EVERY_LAPS = 4;
const BURNS_PCT_PER_H = 1.1;
const DEFROST_EVERY_MS = 6 * 3_600_000;
const DEFROST_FOR_MS = 18 * 60_000;

export function createReefer(tour: Tour, seed: number): (motion: Motion, ambientC: number) => Reefer {
  const setpointC = [-23, -18, -18, 1, 2, 13][Math.floor(chanceAt(seed, 1) * 6)]!;
  const runMode = setpointC < 0 ? ('continuous' as const) : ('startStop' as const);
  const bornHours = 2000 + Math.floor(6000 * chanceAt(seed, 2));
  const apartMs = Math.floor(chanceAt(seed, 3) * DEFROST_EVERY_MS);
  /** How far the air has moved from the setpoint (0) to the outside temperature (1). */
  const drift = lagOverLap(tour, (motion) =>
    doorAt(motion, seed, 'trailer').open ? { target: 0.32, tauS: 1500 } : { target: 0.01, tauS: 900 },
  );
  return (motion, ambientC) => {
    const { atMs } = motion;
    const hours = (atMs - HOURS_FROM_MS) / 3_600_000 + apartMs / 3_600_000;
    const sinceRefuelH = (mod(motion.lap, REFUEL_EVERY_LAPS) * tour.lapMs + motion.lapOffsetMs) / 3_600_000;
    const doorOpen = doorAt(motion, seed, 'trailer').open;
    const defrostMs = mod(atMs + apartMs, DEFROST_EVERY_MS);
    const defrosting = setpointC < 5 && !doorOpen && defrostMs < DEFROST_FOR_MS;
    const bump = setpointC < 5 && defrostMs < 3 * DEFROST_FOR_MS ? 1.8 * bell(defrostMs / DEFROST_FOR_MS) : 0;
    const wave = 0.6 * noiseAt(seed ^ 0x2eef, atMs / 400_000);
    const returnAirC = setpointC + drift(motion.lapOffsetMs) * (ambientC - setpointC) + bump + wave;
    const offC = returnAirC - setpointC;
    const mode = doorOpen
      ? 'off'
      : defrosting
        ? 'defrost'
        : offC > 0.3
          ? 'cooling'
          : offC < -0.3
            ? 'heating'
            : runMode === 'continuous'
              ? 'cooling'
              : 'null';
    const blowsC = { cooling: -Math.min(7, 2 + Math.max(0, offC)), heating: 4, defrost: 7, null: 0, off: 0 }[mode];
    const warm = Math.abs(offC) > 4 && !doorOpen && !defrosting;
    return {
      powerOn: !doorOpen,
      runMode,
      fuelPct: Math.round(Math.max(8, 97 - BURNS_PCT_PER_H * sinceRefuelH)),
      engineHours: round(bornHours + Math.max(0, hours) * 0.6, 1),
      setpointC,
      returnAirC: round(returnAirC, 2),
      dischargeAirC: round(returnAirC + blowsC, 2),
      mode,
      alarms: warm ? [{ code: '63', description: 'Return air away from setpoint' }] : [],
    };
  };
}

/** A curve that is 0 at 0, 1 at 1, and 0 from 3 on. */
function bell(x: number): number {
  return x < 1 ? x : Math.max(0, (3 - x) / 2);
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}
