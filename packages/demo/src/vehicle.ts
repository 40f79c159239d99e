import { type Fault, type Light, lightsAt, type Trouble, troubleAt } from './faults.ts';
import { chanceAt, noiseAt } from './random.ts';
import { createReefer, type Reefer } from './reefer.ts';
import { offset } from './road.ts';
import { type Safety, safetyAt } from './safety.ts';
import {
  type Cargo,
  cargoAt,
  type Door,
  doorAt,
  type Power,
  powerAt,
  round,
  type Weather,
  weatherAt,
} from './signals.ts';
import { createTires, type Tire } from './tires.ts';
import { createDeliveryTour, createHighwayTour } from './trip.ts';
import type { DemoAsset } from './world.ts';

/**
 * One demo vehicle. `stateAt` depends on the asset and the time alone, so that it gives the same answer in any order of
 * calls and after a restart. Successive fixes never imply more than 130 km/h. Creating a vehicle takes about 15 ms.
 */
export interface Vehicle {
  readonly asset: DemoAsset;
  /** The true state at `atMs` (Unix milliseconds), as the vehicle's sensors measure it. */
  stateAt(atMs: number): VehicleState;
}

export interface VehicleState {
  readonly atMs: number;
  readonly gps: {
    readonly latitude: number;
    readonly longitude: number;
    readonly altitudeM: number;
    readonly headingDeg: number;
    readonly speedKph: number;
    readonly hdop: number;
    readonly satellites: number;
    readonly accuracyM: number;
  };
  readonly odometerM: number;
  readonly moving: boolean;
  readonly power: Power;
  /** The rear door. Undefined for a flatbed. */
  readonly door: Door | undefined;
  readonly cargo: Cargo;
  readonly weather: Weather;
  readonly tires: readonly Tire[];
  readonly lights: readonly Light[];
  readonly abs: Trouble['abs'];
  readonly faults: readonly Fault[];
  readonly reefer: Reefer | undefined;
  readonly safety: Safety | undefined;
}

export function createVehicle(asset: DemoAsset): Vehicle {
  const { seed } = asset;
  const isUnit = asset.kind === 'deliversafe';
  const tour = isUnit ? createDeliveryTour(asset.home, seed) : createHighwayTour(asset.home, seed);
  const tiresAt = isUnit ? undefined : createTires(tour, seed);
  const reeferAt = asset.body === 'reefer' ? createReefer(tour, seed) : undefined;
  const odometerBaseM = 1000 * Math.floor((isUnit ? 20_000 : 60_000) + 90_000 * chanceAt(seed, 7));
  return {
    asset,
    stateAt(atMs) {
      const motion = tour.at(atMs);
      const weather = weatherAt(motion.place, atMs);
      const door = doorAt(motion, seed, asset.kind);
      const tires = tiresAt?.(motion, weather.temperatureC) ?? [];
      // A receiver's fix drifts by a few metres. The drift is at most 1.2 m/s, so it never adds much speed.
      const eastM = 3 * noiseAt(seed ^ 0xea57, atMs / 20_000);
      const northM = 3 * noiseAt(seed ^ 0x0087, atMs / 20_000);
      const seen = offset(motion.place, eastM, northM);
      const sky = 0.5 + 0.5 * noiseAt(seed ^ 0x5c1, atMs / 90_000);
      const hdop = round(0.7 + 1.1 * sky ** 3, 1);
      const speedKph = motion.driving ? Math.max(0, motion.speedMps * 3.6 + 0.4 * noiseAt(seed, atMs / 3000)) : 0;
      return {
        atMs,
        gps: {
          latitude: round(seen.latitude, 6),
          longitude: round(seen.longitude, 6),
          altitudeM: round(motion.place.elevationM + 4 * noiseAt(seed ^ 0xa17, atMs / 30_000), 0),
          headingDeg: mod360(
            Math.round(motion.headingDeg + (motion.driving ? 1.5 * noiseAt(seed ^ 0xc0, atMs / 4000) : 0)),
          ),
          speedKph: round(speedKph, 1),
          hdop,
          satellites: Math.round(14 - 6 * sky),
          accuracyM: round(3.2 * hdop, 1),
        },
        odometerM: Math.max(0, Math.round(odometerBaseM + motion.travelledM)),
        moving: motion.driving,
        power: powerAt(motion, seed),
        door: asset.body === 'flatbed' ? undefined : door,
        cargo: cargoAt(motion, door, seed, asset.kind),
        weather,
        tires,
        lights: isUnit ? [] : lightsAt(motion, tour, seed),
        ...troubleAt(motion, tour, seed, tires),
        reefer: reeferAt?.(motion, weather.temperatureC),
        safety: isUnit ? safetyAt(motion, door, tour, seed) : undefined,
      };
    },
  };
}

function mod360(value: number): number {
  return ((value % 360) + 360) % 360;
}
