import { createDrive, type Drive, type DriveMoment } from './drive.ts';
import { createRandom, type Random, seedOf } from './random.ts';
import { betweenDocks, highway, neighbours, offset, type Place, shortestWay, streets } from './road.ts';
import { TOWNS, type TownId } from './routes-data.ts';

/**
 * The place and motion of a demo vehicle. A vehicle drives the same tour for ever. `at` depends on the time alone, so that
 * place and odometer continue after a restart of the demo. Two fixes `dt` apart are never further apart than
 * `SPEED_MPS_MAX * dt`. Laps are counted from 2026, so the clock must be roughly right.
 */
const LAPS_FROM_MS = Date.UTC(2026, 0, 1);

export interface Tour {
  readonly lapMs: number;
  readonly lapM: number;
  at(atMs: number): Motion;
}

export interface Motion {
  readonly atMs: number;
  /** The number of completed laps. Negative before 2026. */
  readonly lap: number;
  /** Milliseconds since this lap began. A lap begins with the arrival at the home dock. */
  readonly lapOffsetMs: number;
  /** Distance since the count of laps began. */
  readonly travelledM: number;
  readonly place: Place;
  readonly speedMps: number;
  readonly accelerationMps2: number;
  readonly headingDeg: number;
  readonly driving: boolean;
  readonly reversing: boolean;
  /** Distance to the dock where this drive ends. 0 at a dock. */
  readonly remainingM: number;
  /** The number of stops reached in this lap, including the current one. A lap has `stopsPerLap` stops. */
  readonly stopIndex: number;
  readonly stopsPerLap: number;
  /** The current stop, or the last one while driving. */
  readonly stop: Stop;
}

/** A stop at a dock or a customer's door. Speed is 0 from arrival to departure. */
export interface Stop {
  readonly name: string;
  readonly arrivedMs: number;
  readonly departsMs: number;
}

/** A tour to two to four towns and back. `seed` is the vehicle's. */
export function createHighwayTour(home: TownId, seed: number): Tour {
  const random = createRandom(seedOf('tour', seed));
  const docks = new Map<TownId, Place>();
  const dock = (town: TownId) => {
    const place = docks.get(town) ?? near(TOWNS[town], random, 120, 450);
    docks.set(town, place);
    return place;
  };
  const towns = round(home, random);
  return createTour(
    towns.map((town, index) => {
      const next = towns[(index + 1) % towns.length]!;
      const dwellS = town === home ? random.integer(3600, 7200) : random.integer(1800, 4500);
      const line = betweenDocks(dock(town), highway(town, next), dock(next));
      return {
        name: `${TOWNS[town].name}, ${TOWNS[town].state}`,
        dwellS,
        drive: createDrive(line, {
          kind: 'highway',
          eagerness: random.between(0.92, 1.02),
          seed: random.integer(0, 2 ** 31),
        }),
      };
    }),
    seed,
  );
}

/** A tour to eight to twelve customers' doors in one town, from a depot and back. */
export function createDeliveryTour(town: TownId, seed: number): Tour {
  const random = createRandom(seedOf('deliveries', seed));
  const depot = near(TOWNS[town], random, 800, 2500);
  const places = [depot, ...Array.from({ length: random.integer(8, 12) }, () => near(TOWNS[town], random, 500, 6500))];
  return createTour(
    places.map((place, index) => ({
      name: `${index === 0 ? 'Depot' : `Door ${index}`}, ${TOWNS[town].name}, ${TOWNS[town].state}`,
      dwellS: index === 0 ? random.integer(1200, 2100) : random.integer(180, 480),
      drive: createDrive(streets(place, places[(index + 1) % places.length]!, random), {
        kind: 'streets',
        eagerness: random.between(0.85, 1.05),
        seed: random.integer(0, 2 ** 31),
      }),
    })),
    seed,
  );
}

interface Section {
  readonly name: string;
  readonly dwellS: number;
  readonly drive: Drive;
}

function createTour(sections: readonly Section[], seed: number): Tour {
  const starts: { section: Section; startS: number; startM: number }[] = [];
  let lapS = 0;
  let lapM = 0;
  for (const section of sections) {
    starts.push({ section, startS: lapS, startM: lapM });
    lapS += section.dwellS + section.drive.durationS;
    lapM += section.drive.lengthM;
  }
  const lapMs = Math.ceil(lapS * 1000);
  const aheadMs = Math.floor(createRandom(seedOf('ahead', seed)).next() * lapMs);
  return {
    lapMs,
    lapM,
    at(atMs) {
      const sinceMs = atMs - LAPS_FROM_MS + aheadMs;
      const lap = Math.floor(sinceMs / lapMs);
      const lapOffsetMs = sinceMs - lap * lapMs;
      const stopIndex = starts.findLastIndex((each) => each.startS * 1000 <= lapOffsetMs);
      const { section, startS, startM } = starts[stopIndex]!;
      const drivenS = lapOffsetMs / 1000 - startS - section.dwellS;
      const driving = drivenS > 0 && drivenS < section.drive.durationS;
      const moment: DriveMoment = section.drive.at(drivenS);
      const arrivedMs = atMs - lapOffsetMs + startS * 1000;
      return {
        atMs,
        lap,
        lapOffsetMs,
        travelledM: lap * lapM + startM + moment.drivenM,
        place: moment,
        speedMps: driving ? moment.speedMps : 0,
        accelerationMps2: driving ? moment.accelerationMps2 : 0,
        headingDeg: moment.headingDeg,
        driving,
        reversing: driving && moment.reversing,
        remainingM: driving ? section.drive.lengthM - moment.drivenM : 0,
        stopIndex,
        stopsPerLap: starts.length,
        stop: { name: section.name, arrivedMs, departsMs: arrivedMs + section.dwellS * 1000 },
      };
    },
  };
}

/** The towns of a tour: home, two or three legs away without turning back, and the shortest way home. Home is listed once. */
function round(home: TownId, random: Random): TownId[] {
  const towns: TownId[] = [home];
  for (let legs = random.integer(2, 3); legs > 0; legs--) {
    const before = towns.at(-2);
    const choices = neighbours(towns.at(-1)!).filter((town) => town !== before && town !== home);
    if (choices.length > 0) towns.push(random.pick(choices));
  }
  return [...towns, ...shortestWay(towns.at(-1)!, home).slice(1, -1)];
}

function near(place: Place, random: Random, minM: number, maxM: number): Place {
  const turn = random.between(0, 2 * Math.PI);
  const awayM = random.between(minM, maxM);
  return offset(place, Math.sin(turn) * awayM, Math.cos(turn) * awayM);
}
