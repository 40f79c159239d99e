import { chanceAt, noiseAt } from './random.ts';
import { apart, type Place } from './road.ts';

/**
 * One drive along a line, from standstill to standstill. Speed never exceeds `SPEED_MPS_MAX`. It changes no faster than that
 * of a loaded truck, and is low in towns, in bends and before docks. A drive is a table that is computed once. Between two
 * points of the line the acceleration is constant, so that place and speed at any time can be computed exactly.
 */
export const SPEED_MPS_MAX = 30;

const ACCELERATION_MPS2 = 0.45;
const BRAKING_MPS2 = 0.7;
/** Maximum sideways acceleration in a bend with cargo. */
const SIDEWAYS_MPS2 = 1.6;
/** The vehicle reverses to the dock on the last metres. */
const REVERSE_M = 18;
const REVERSE_MPS = 1.1;

export interface DriveRules {
  readonly kind: 'highway' | 'streets';
  /** 1: the driver drives at the speed limit. */
  readonly eagerness: number;
  /** Gives each drive its own speed changes and road works. */
  readonly seed: number;
}

export interface Drive {
  readonly lengthM: number;
  readonly durationS: number;
  at(elapsedS: number): DriveMoment;
}

export interface DriveMoment extends Place {
  readonly drivenM: number;
  readonly speedMps: number;
  readonly accelerationMps2: number;
  /** Course over ground, [0, 360). */
  readonly headingDeg: number;
  readonly reversing: boolean;
}

export function createDrive(line: readonly Place[], rules: DriveRules): Drive {
  const last = line.length - 1;
  const alongM = new Float64Array(line.length);
  const courseDeg = new Float64Array(line.length);
  // Arrays of numbers instead of objects save memory: a tour has thousands of points.
  const latitude = Float64Array.from(line, (point) => point.latitude);
  const longitude = Float64Array.from(line, (point) => point.longitude);
  const elevationM = Float32Array.from(line, (point) => point.elevationM);
  for (let i = 1; i <= last; i++) {
    const { eastM, northM } = apart(line[i - 1]!, line[i]!);
    alongM[i] = alongM[i - 1]! + Math.hypot(eastM, northM);
    courseDeg[i - 1] = ((Math.atan2(eastM, northM) * 180) / Math.PI + 360) % 360;
  }
  courseDeg[last] = courseDeg[last - 1]!;
  const lengthM = alongM[last]!;
  const speedMps = speeds(alongM, courseDeg, rules);
  const atS = new Float64Array(line.length);
  for (let i = 1; i <= last; i++) {
    atS[i] = atS[i - 1]! + (2 * (alongM[i]! - alongM[i - 1]!)) / (speedMps[i - 1]! + speedMps[i]!);
  }
  return {
    lengthM,
    durationS: atS[last]!,
    at(elapsedS) {
      const t = Math.min(Math.max(0, elapsedS), atS[last]!);
      const i = Math.min(last - 1, lastNotAfter(atS, t));
      const pieceM = alongM[i + 1]! - alongM[i]!;
      const acceleration = (speedMps[i + 1]! ** 2 - speedMps[i]! ** 2) / (2 * pieceM);
      const since = t - atS[i]!;
      const movedM = Math.min(pieceM, speedMps[i]! * since + 0.5 * acceleration * since ** 2);
      const share = movedM / pieceM;
      const between = (values: Float64Array | Float32Array) => values[i]! + (values[i + 1]! - values[i]!) * share;
      return {
        latitude: between(latitude),
        longitude: between(longitude),
        elevationM: between(elevationM),
        drivenM: alongM[i]! + movedM,
        speedMps: Math.max(0, speedMps[i]! + acceleration * since),
        accelerationMps2: acceleration,
        headingDeg: courseDeg[i]!,
        reversing: lengthM - (alongM[i]! + movedM) < REVERSE_M,
      };
    },
  };
}

/** The speed at each point: first limited by the place, then by engine and brakes (one pass in each direction). */
function speeds(alongM: Float64Array, courseDeg: Float64Array, rules: DriveRules): Float64Array {
  const last = alongM.length - 1;
  const speed = new Float64Array(alongM.length);
  for (let i = 1; i < last; i++) {
    const turn = Math.abs(((courseDeg[i]! - courseDeg[i - 1]! + 540) % 360) - 180) * (Math.PI / 180);
    const radiusM = (alongM[i + 1]! - alongM[i - 1]!) / 2 / Math.max(turn, 1e-6);
    const bendMps = Math.max(2, Math.sqrt(SIDEWAYS_MPS2 * radiusM));
    speed[i] = Math.min(SPEED_MPS_MAX, bendMps, allowedMps(alongM[i]!, alongM[last]!, rules));
  }
  for (let i = 1; i <= last; i++) {
    speed[i] = Math.min(
      speed[i]!,
      Math.sqrt(speed[i - 1]! ** 2 + 2 * ACCELERATION_MPS2 * (alongM[i]! - alongM[i - 1]!)),
    );
  }
  for (let i = last - 1; i >= 0; i--) {
    speed[i] = Math.min(speed[i]!, Math.sqrt(speed[i + 1]! ** 2 + 2 * BRAKING_MPS2 * (alongM[i + 1]! - alongM[i]!)));
  }
  return speed;
}

function allowedMps(atM: number, lengthM: number, rules: DriveRules): number {
  const edgeM = Math.min(atM, lengthM - atM);
  if (lengthM - atM < REVERSE_M + 2) return REVERSE_MPS;
  if (edgeM < 250) return 4.5;
  const mood = rules.eagerness * (1 + 0.05 * noiseAt(rules.seed, atM / 4000));
  if (rules.kind === 'streets') return 12.5 * mood;
  if (edgeM < 3500) return 14 * mood;
  const stretch = Math.floor(atM / 5000);
  const roadWorks = chanceAt(rules.seed ^ 0x5eed, stretch) < 0.07;
  return (roadWorks ? 18 : 28) * mood;
}

/** The largest index whose value is at most `value`, or 0 if there is none. */
function lastNotAfter(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
