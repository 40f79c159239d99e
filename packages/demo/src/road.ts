import { noiseAt, type Random, seedOf } from './random.ts';
import { LEGS, type Leg, TOWNS, type Town, type TownId } from './routes-data.ts';

/**
 * Makes road lines from places. A line is continuous, its points are at most `STEP_M` apart, and the same arguments give the
 * same line. Distances use flat local metres. They are exact to 0.5 % for places a few hundred kilometres apart at middle
 * latitudes. Throws for towns without a road between them, which is a mistake in the data.
 */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
  readonly elevationM: number;
}

const STEP_M = 100;
const EARTH_RADIUS_M = 6_371_000;
const METERS_PER_DEGREE = (Math.PI / 180) * EARTH_RADIUS_M;

/** The place `eastM` and `northM` metres away. */
export function offset(place: Place, eastM: number, northM: number): Place {
  const shrink = Math.cos((place.latitude * Math.PI) / 180);
  return {
    latitude: place.latitude + northM / METERS_PER_DEGREE,
    longitude: place.longitude + eastM / (METERS_PER_DEGREE * shrink),
    elevationM: place.elevationM,
  };
}

/** East and north of `to` as seen from `from`, in metres. */
export function apart(from: Place, to: Place): { eastM: number; northM: number } {
  const shrink = Math.cos((((from.latitude + to.latitude) / 2) * Math.PI) / 180);
  return {
    eastM: (to.longitude - from.longitude) * METERS_PER_DEGREE * shrink,
    northM: (to.latitude - from.latitude) * METERS_PER_DEGREE,
  };
}

export function distanceM(from: Place, to: Place): number {
  const { eastM, northM } = apart(from, to);
  return Math.hypot(eastM, northM);
}

/** The highway between two neighbouring towns. It passes the `via` places of the leg and has bends. Throws without a leg. */
export function highway(from: TownId, to: TownId): Place[] {
  const leg = LEGS.find((each) => (each.from === from && each.to === to) || (each.from === to && each.to === from));
  if (!leg) throw new Error(`no leg between ${from} and ${to}`);
  const line = legLine(leg);
  return leg.from === from ? line : line.toReversed();
}

/** The towns on the shortest way from one town to another, including both (Dijkstra). Throws if there is no way. */
export function shortestWay(from: TownId, to: TownId): TownId[] {
  const best = new Map<TownId, { lengthM: number; way: TownId[] }>([[from, { lengthM: 0, way: [from] }]]);
  const open = new Set<TownId>([from]);
  while (open.size > 0) {
    const here = [...open].reduce((a, b) => (best.get(a)!.lengthM <= best.get(b)!.lengthM ? a : b));
    if (here === to) return best.get(here)!.way;
    open.delete(here);
    for (const next of neighbours(here)) {
      const lengthM = best.get(here)!.lengthM + distanceM(TOWNS[here], TOWNS[next]);
      if (lengthM >= (best.get(next)?.lengthM ?? Number.POSITIVE_INFINITY)) continue;
      best.set(next, { lengthM, way: [...best.get(here)!.way, next] });
      open.add(next);
    }
  }
  throw new Error(`no road from ${from} to ${to}`);
}

export function neighbours(town: TownId): TownId[] {
  return LEGS.flatMap((leg) => (leg.from === town ? [leg.to] : leg.to === town ? [leg.from] : []));
}

/** Streets between two places of one town: they run east-west and north-south and have rounded corners. */
export function streets(from: Place, to: Place, random: Random): Place[] {
  const { eastM, northM } = apart(from, to);
  const share = random.between(0.25, 0.75);
  const corners = [
    from,
    offset(from, eastM * share, 0),
    offset(from, eastM * share, northM),
    { ...to, elevationM: from.elevationM },
  ];
  return resample(roundCorners(roundCorners(corners, 25), 8), 20);
}

/** Adds a straight way from a dock before `line` and one to a dock after it. Removes repeated points. */
export function betweenDocks(start: Place, line: readonly Place[], end: Place): Place[] {
  const points = resample([start, ...line, end], STEP_M);
  return points.filter((point, index) => index === 0 || distanceM(points[index - 1]!, point) > 0.5);
}

const LINES = new Map<Leg, Place[]>();

function legLine(leg: Leg): Place[] {
  let line = LINES.get(leg);
  if (!line) {
    const from: Town = TOWNS[leg.from];
    const to: Town = TOWNS[leg.to];
    const via = leg.via.map(([latitude, longitude], index) => {
      const share = (index + 1) / (leg.via.length + 1);
      return { latitude, longitude, elevationM: from.elevationM + (to.elevationM - from.elevationM) * share };
    });
    line = bend(resample(curve([from, ...via, to]), STEP_M), seedOf('leg', leg.from, leg.to));
    LINES.set(leg, line);
  }
  return line;
}

/** A curve through all points: uniform Catmull-Rom with 24 pieces between two points. */
function curve(points: readonly Place[]): Place[] {
  const at = (index: number) => points[Math.min(points.length - 1, Math.max(0, index))]!;
  const line: Place[] = [];
  for (let i = 0; i < points.length - 1; i++) {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    for (let piece = 0; piece < 24; piece++) {
      const t = piece / 24;
      const blend = (p: number, q: number, r: number, s: number) =>
        q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)));
      line.push({
        latitude: blend(a.latitude, b.latitude, c.latitude, d.latitude),
        longitude: blend(a.longitude, b.longitude, c.longitude, d.longitude),
        elevationM: b.elevationM + (c.elevationM - b.elevationM) * t,
      });
    }
  }
  line.push(points.at(-1)!);
  return line;
}

/** Adds bends of up to 240 m to the side (7 km and 2.3 km long) and hills of 15 m, but not in the first and last kilometre. */
function bend(line: readonly Place[], seed: number): Place[] {
  const lengthM = (line.length - 1) * STEP_M;
  return line.map((point, index) => {
    const alongM = index * STEP_M;
    const calm = Math.min(1, alongM / 1000, (lengthM - alongM) / 1000);
    if (calm <= 0) return point;
    const { eastM, northM } = apart(line[index - 1]!, line[index + 1]!);
    const length = Math.hypot(eastM, northM);
    const swingM = calm * (180 * noiseAt(seed, alongM / 3500) + 60 * noiseAt(seed + 1, alongM / 1150));
    const moved = offset(point, (northM / length) * swingM, (-eastM / length) * swingM);
    return { ...moved, elevationM: point.elevationM + calm * 15 * noiseAt(seed + 2, alongM / 4000) };
  });
}

function resample(points: readonly Place[], stepM: number): Place[] {
  const line: Place[] = [points[0]!];
  for (let i = 1; i < points.length; i++) {
    const [from, to] = [points[i - 1]!, points[i]!];
    const pieces = Math.max(1, Math.round(distanceM(from, to) / stepM));
    for (let piece = 1; piece <= pieces; piece++) line.push(between(from, to, piece / pieces));
  }
  return line;
}

/** Replaces each corner by two points, `cutM` before and after it, or less if a side is short. */
function roundCorners(points: readonly Place[], cutM: number): Place[] {
  const line: Place[] = [points[0]!];
  for (let i = 1; i < points.length - 1; i++) {
    const [before, corner, after] = [points[i - 1]!, points[i]!, points[i + 1]!];
    line.push(between(corner, before, Math.min(0.4, cutM / Math.max(1, distanceM(corner, before)))));
    line.push(between(corner, after, Math.min(0.4, cutM / Math.max(1, distanceM(corner, after)))));
  }
  line.push(points.at(-1)!);
  return line;
}

function between(from: Place, to: Place, share: number): Place {
  return {
    latitude: from.latitude + (to.latitude - from.latitude) * share,
    longitude: from.longitude + (to.longitude - from.longitude) * share,
    elevationM: from.elevationM + (to.elevationM - from.elevationM) * share,
  };
}
