import { chanceAt, noiseAt } from './random.ts';
import { round } from './signals.ts';
import { leaksInLap, type Tire } from './tires.ts';
import type { Motion, Tour } from './trip.ts';

/**
 * Failed lamps and diagnostic trouble codes of a vehicle:
 * - At most one lighting circuit is out at a time. It is repaired at the home dock.
 * - A trouble code is active for a while and is then reported as cleared.
 * - An active ABS code turns the ABS lamp on.
 * - A tire that loses air has its own trouble code.
 */
export interface Light {
  readonly circuit: 'leftTurn' | 'rightTurn' | 'stop' | 'tailLicense' | 'clearanceMarker';
  readonly state: 'ok' | 'out' | 'low';
  readonly currentA: number;
}

export interface Fault {
  readonly spn: number;
  readonly fmi: number;
  readonly oc: number;
  /** J1939 source address: 11 = brakes, 51 = tire pressure control. */
  readonly sa: number;
  /** False if the code is no longer active (J1939 DM2: previously active). */
  readonly active: boolean;
}

const DRAWS_A = { leftTurn: 1.9, rightTurn: 1.9, stop: 2.6, tailLicense: 1.2, clearanceMarker: 1.6 } as const;
const CIRCUITS = Object.keys(DRAWS_A) as (keyof typeof DRAWS_A)[];
const LAPS_WITH_LAMP_OUT = 0.25;
const LAPS_WITH_CODE = 0.4;

/** ABS wheel speed sensors: SPN 789 to 792; FMI 1 too low, 2 erratic, 5 open circuit, 8 abnormal frequency. */
const ABS_CODES = [
  { spn: 789, fmi: 5 },
  { spn: 790, fmi: 8 },
  { spn: 791, fmi: 1 },
  { spn: 792, fmi: 2 },
] as const;

export function lightsAt(motion: Motion, tour: Tour, seed: number): Light[] {
  const fate = chanceAt(seed ^ 0x11a7, motion.lap);
  const failsMs = tour.lapMs * (0.05 + 0.6 * chanceAt(seed ^ 0x11a8, motion.lap));
  const failing = fate < LAPS_WITH_LAMP_OUT && motion.lapOffsetMs > failsMs;
  const victim = CIRCUITS[Math.floor((fate / LAPS_WITH_LAMP_OUT) * CIRCUITS.length)];
  return CIRCUITS.map((circuit, index) => {
    if (failing && circuit === victim) {
      const dim = chanceAt(seed ^ 0x11a9, motion.lap) < 0.3;
      return { circuit, state: dim ? 'low' : 'out', currentA: dim ? round(DRAWS_A[circuit] * 0.5, 2) : 0 };
    }
    const ripple = 1 + 0.03 * noiseAt(seed + index, motion.atMs / 20_000);
    return { circuit, state: 'ok', currentA: round(DRAWS_A[circuit] * ripple, 2) };
  });
}

export interface Trouble {
  readonly abs: { readonly lamp: 'off' | 'on'; readonly fault: boolean };
  readonly faults: readonly Fault[];
}

export function troubleAt(motion: Motion, tour: Tour, seed: number, tires: readonly Tire[]): Trouble {
  const faults: Fault[] = [];
  const fate = chanceAt(seed ^ 0xdcdc, motion.lap);
  const startsMs = tour.lapMs * (0.05 + 0.6 * chanceAt(seed ^ 0xdcdd, motion.lap));
  const sinceMs = motion.lapOffsetMs - startsMs;
  const lastsMs = tour.lapMs * (0.08 + 0.2 * fate);
  const abs = fate < LAPS_WITH_CODE && sinceMs > 0 && sinceMs < lastsMs;
  if (fate < LAPS_WITH_CODE && sinceMs > 0) {
    const code = ABS_CODES[Math.floor((fate / LAPS_WITH_CODE) * ABS_CODES.length)]!;
    const times = 1 + Math.floor(Math.min(sinceMs, lastsMs) / 1_200_000);
    faults.push({ ...code, oc: Math.min(126, times), sa: 11, active: abs });
  }
  const leaking = tires.some((tire) => tire.status !== 'ok');
  if (leaking || (tires.length > 0 && leaksInLap(seed, motion.lap - 1))) {
    faults.push({ spn: 241, fmi: 1, oc: 1, sa: 51, active: leaking });
  }
  return { abs: { lamp: abs ? 'on' : 'off', fault: abs }, faults };
}
