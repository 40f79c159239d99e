import { chanceAt, noiseAt } from './random.ts';
import type { Place } from './road.ts';
import type { Motion, Tour } from './trip.ts';

/**
 * Sensor values of a vehicle as functions of its place and the time: weather, doors, cargo and power. Tires, refrigeration,
 * faults and safety units have their own files. A door is open only while the vehicle stands. No value depends on earlier
 * calls.
 */
export interface Weather {
  readonly temperatureC: number;
  readonly humidityPct: number;
}

/** A continental climate: 11 °C on average at 39 degrees north, 13 more in July, 5 more at three in the afternoon. */
export function weatherAt(place: Place, atMs: number): Weather {
  const dayOfYear = (atMs / 86_400_000) % 365.25;
  const hourOfDay = (atMs / 3_600_000 + place.longitude / 15) % 24;
  const front = noiseAt(77, atMs / 130_000_000 + place.longitude / 4);
  const temperatureC =
    11 -
    0.8 * (place.latitude - 39) +
    13 * Math.cos((2 * Math.PI * (dayOfYear - 201)) / 365.25) +
    5 * Math.cos((2 * Math.PI * (hourOfDay - 15)) / 24) +
    4 * front;
  const humidityPct = 66 - 14 * Math.cos((2 * Math.PI * (hourOfDay - 15)) / 24) - 12 * front;
  return { temperatureC: round(temperatureC, 1), humidityPct: round(humidityPct, 0) };
}

export interface Door {
  readonly open: boolean;
  readonly changedAtMs: number;
  /** Progress of this stop: 0 before the door opens, 1 after it has closed. */
  readonly share: number;
}

/** The rear door. It opens once at each stop. */
export function doorAt(motion: Motion, seed: number, kind: 'trailer' | 'deliversafe'): Door {
  const { arrivedMs, departsMs } = motion.stop;
  const stay = departsMs - arrivedMs;
  const haste = chanceAt(seed ^ 0xd002, motion.lap * motion.stopsPerLap + motion.stopIndex);
  const opensMs = arrivedMs + Math.min(stay * 0.3, kind === 'trailer' ? 150_000 + 240_000 * haste : 20_000);
  const closesMs = departsMs - Math.min(stay * 0.3, kind === 'trailer' ? 120_000 + 180_000 * haste : 15_000);
  const { atMs } = motion;
  if (motion.driving || atMs >= closesMs) return { open: false, changedAtMs: Math.round(closesMs), share: 1 };
  if (atMs < opensMs) return { open: false, changedAtMs: Math.round(arrivedMs), share: 0 };
  return { open: true, changedAtMs: Math.round(opensMs), share: (atMs - opensMs) / (closesMs - opensMs) };
}

export interface Cargo {
  readonly state: 'empty' | 'partial' | 'loaded';
  readonly fillPct: number;
  readonly weightKg: number;
  /** The weights on the tandem axles of a trailer, front to rear. */
  readonly axleWeightsKg: readonly number[];
}

/** The cargo. It changes while the door is open: of a trailer at any stop, of a van from full at the depot to empty. */
export function cargoAt(motion: Motion, door: Door, seed: number, kind: 'trailer' | 'deliversafe'): Cargo {
  const fillAfter = (stop: number) => {
    const index = (stop + motion.stopsPerLap) % motion.stopsPerLap;
    if (kind === 'deliversafe') return 1 - index / motion.stopsPerLap;
    return [0, 0.4, 0.65, 0.85, 1][Math.floor(chanceAt(seed ^ 0xca60, index) * 5)]!;
  };
  const fill = fillAfter(motion.stopIndex - 1) * (1 - door.share) + fillAfter(motion.stopIndex) * door.share;
  const weightKg = fill * (kind === 'trailer' ? 19_000 : 1_300);
  const sway = motion.driving ? 40 * noiseAt(seed ^ 0x5a, motion.atMs / 9000) : 0;
  return {
    state: fill < 0.03 ? 'empty' : fill > 0.9 ? 'loaded' : 'partial',
    fillPct: round(fill * 100, 0),
    weightKg: round(weightKg, 0),
    axleWeightsKg: kind === 'trailer' ? [0.31, 0.3].map((part) => round((6500 + weightKg) * part + sway, -1)) : [],
  };
}

export interface Power {
  readonly source: 'tractor' | 'battery';
  readonly externalV: number;
  readonly batteryV: number;
  readonly batterySocPct: number;
  readonly ignitionOn: boolean;
}

/** The trailer's power. It comes from the tractor, whose alternator runs while driving. At long stops the tractor leaves. */
export function powerAt(motion: Motion, seed: number): Power {
  const { arrivedMs, departsMs } = motion.stop;
  const standsMs = motion.driving ? 0 : motion.atMs - arrivedMs;
  const ripple = noiseAt(seed ^ 0xb0, motion.atMs / 15_000);
  const ignitionOn = motion.driving || standsMs < 120_000 || departsMs - motion.atMs < 120_000;
  const leftBehind =
    !motion.driving && departsMs - arrivedMs > 2_700_000 && standsMs > 900_000 && departsMs - motion.atMs > 300_000;
  if (leftBehind) {
    const drainedV = Math.min(0.25, ((standsMs - 900_000) / 3_600_000) * 0.06);
    const batteryV = 4.09 - drainedV + 0.005 * ripple;
    return { source: 'battery', externalV: 0, batteryV: round(batteryV, 2), batterySocPct: soc(batteryV), ignitionOn };
  }
  const externalV = ignitionOn ? 13.9 + 0.15 * ripple : 12.72 - Math.min(0.3, standsMs / 2e7) + 0.02 * ripple;
  const batteryV = 4.11 + 0.01 * ripple;
  return {
    source: 'tractor',
    externalV: round(externalV, 2),
    batteryV: round(batteryV, 2),
    batterySocPct: soc(batteryV),
    ignitionOn,
  };
}

/** State of charge of a one-cell lithium battery from its voltage: linear between 3.5 V and 4.15 V. */
function soc(batteryV: number): number {
  return round(Math.min(1, (batteryV - 3.5) / 0.65) * 100, 0);
}

/**
 * A quantity that follows a target with a first-order delay (`tauS`), over one lap that repeats for ever. It is computed once
 * in steps of 30 s, over two laps: the second lap starts with the final value of the first.
 */
export function lagOverLap(tour: Tour, drive: (motion: Motion) => { target: number; tauS: number }) {
  const stepMs = 30_000;
  const lapStartMs = -tour.at(0).lapOffsetMs;
  const steps = Math.ceil(tour.lapMs / stepMs) + 1;
  const values = new Float64Array(steps);
  let value = 0;
  for (let step = 0; step < 2 * steps; step++) {
    const { target, tauS } = drive(tour.at(lapStartMs + (step % steps) * stepMs));
    value += (target - value) * (1 - Math.exp(-stepMs / 1000 / tauS));
    values[step % steps] = value;
  }
  return (lapOffsetMs: number): number => {
    const x = lapOffsetMs / stepMs;
    const left = Math.min(steps - 1, Math.floor(x));
    const right = (left + 1) % steps;
    return values[left]! + (values[right]! - values[left]!) * (x - left);
  };
}

export function round(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale + 0; // turns -0 into 0, because JSON has no -0
}
