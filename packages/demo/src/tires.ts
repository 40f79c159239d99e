import { chanceAt } from './random.ts';
import { lagOverLap, round } from './signals.ts';
import type { Motion, Tour } from './trip.ts';

/**
 * The eight tires of a tandem trailer. Pressure depends on temperature (gas law), and temperature on speed and outside air.
 * In about one lap of eight, one tire slowly loses air. It is filled at the home dock.
 */
export interface Tire {
  readonly axle: 1 | 2;
  readonly side: 'left' | 'right';
  readonly dual: 'outer' | 'inner';
  /** SPN 929: the axle (from 1) in the upper four bits, the tire counted from the left in the lower four. */
  readonly positionRaw: number;
  readonly pressureKpa: number;
  readonly temperatureC: number;
  readonly leakRatePaS: number;
  readonly status: 'ok' | 'low' | 'veryLow' | 'leak';
}

const COLD_KPA = 690; // 100 psi, gauge
const COLD_K = 288.15;
const AIR_KPA = 101.3;
const LEAKING_LAPS = 0.12;

const PLACES = ([1, 2] as const).flatMap((axle) => [
  { axle, side: 'left', dual: 'outer' } as const,
  { axle, side: 'left', dual: 'inner' } as const,
  { axle, side: 'right', dual: 'inner' } as const,
  { axle, side: 'right', dual: 'outer' } as const,
]);

export function createTires(tour: Tour, seed: number): (motion: Motion, ambientC: number) => Tire[] {
  const riseC = lagOverLap(tour, (motion) => ({ target: 24 * (motion.speedMps / 28) ** 1.3, tauS: 900 }));
  return (motion, ambientC) => {
    const warm = riseC(motion.lapOffsetMs);
    const leak = leakAt(motion, tour, seed);
    return PLACES.map((place, index) => {
      const own = chanceAt(seed ^ 0x717e, index) - 0.5;
      const temperatureC = ambientC + warm * (1 + 0.12 * own);
      const lostKpa = leak?.index === index ? leak.lostKpa : 0;
      const coldKpa = COLD_KPA + 24 * own - lostKpa;
      const pressureKpa = ((coldKpa + AIR_KPA) * (temperatureC + 273.15)) / COLD_K - AIR_KPA;
      const leakRatePaS = leak?.index === index ? leak.ratePaS : 0;
      return {
        ...place,
        positionRaw: place.axle * 16 + (index % 4),
        pressureKpa: round(pressureKpa, 0),
        temperatureC: round(temperatureC, 0),
        leakRatePaS,
        status: leakRatePaS > 0 ? 'leak' : lostKpa > 170 ? 'veryLow' : lostKpa > 80 ? 'low' : 'ok',
      };
    });
  };
}

export function leaksInLap(seed: number, lap: number): boolean {
  return chanceAt(seed ^ 0x1eac, lap) < LEAKING_LAPS;
}

function leakAt(motion: Motion, tour: Tour, seed: number) {
  if (!leaksInLap(seed, motion.lap)) return undefined;
  const fate = chanceAt(seed ^ 0x1ead, motion.lap);
  const sinceS = (motion.lapOffsetMs - tour.lapMs * (0.1 + 0.5 * fate)) / 1000;
  if (sinceS <= 0) return undefined;
  const ratePaS = Math.round(12 + 24 * fate);
  const lostKpa = Math.min(240, (ratePaS * sinceS) / 1000);
  return { index: Math.floor(fate * PLACES.length * 7) % PLACES.length, lostKpa, ratePaS: lostKpa < 240 ? ratePaS : 0 };
}
