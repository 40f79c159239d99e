import { chanceAt, noiseAt } from './random.ts';
import { type Door, round } from './signals.ts';
import type { Motion, Tour } from './trip.ts';

/**
 * The DeliverSafe unit of a delivery van: liftgate, reversing aid and cameras. The gate is down only while the van stands
 * with its door open. The aid measures only while the van reverses. It warns below 3 m and reports a stop below 1 m.
 */
export interface Safety {
  readonly liftgate: { readonly state: 'stowed' | 'moving' | 'deployed'; readonly cycles: number };
  readonly backup: {
    readonly reversing: boolean;
    readonly proximityM: number | undefined;
    readonly warning: 'none' | 'caution' | 'stop';
  };
  readonly cameras: readonly { readonly id: string; readonly state: 'ok' | 'blocked' | 'offline' }[];
}

const CAMERAS = ['rear', 'left', 'right', 'cargo'] as const;
const GATE_MOVES_MS = 12_000;
const LAPS_WITH_CAMERA_TROUBLE = 0.3;

export function safetyAt(motion: Motion, door: Door, tour: Tour, seed: number): Safety {
  const open = door.open;
  const openForMs = motion.atMs - door.changedAtMs;
  const shutsInMs = door.share > 0 ? openForMs * (1 / door.share - 1) : Number.POSITIVE_INFINITY;
  const gateMoves = open && Math.min(openForMs, shutsInMs) < GATE_MOVES_MS;
  const done = motion.lap * motion.stopsPerLap + motion.stopIndex + (door.share > 0 ? 1 : 0);
  const proximityM = motion.reversing
    ? round(motion.remainingM + 0.4 + 0.1 * noiseAt(seed ^ 0xbac, motion.atMs / 700), 2)
    : undefined;
  const fate = chanceAt(seed ^ 0xca3e, motion.lap);
  const troubled =
    fate < LAPS_WITH_CAMERA_TROUBLE && motion.lapOffsetMs > tour.lapMs * chanceAt(seed ^ 0xca3f, motion.lap);
  const victim = Math.floor((fate / LAPS_WITH_CAMERA_TROUBLE) * CAMERAS.length);
  return {
    liftgate: {
      state: gateMoves ? 'moving' : open ? 'deployed' : 'stowed',
      cycles: 4000 + Math.floor(3000 * chanceAt(seed, 9)) + Math.max(0, done),
    },
    backup: {
      reversing: motion.reversing,
      proximityM,
      warning: proximityM === undefined || proximityM >= 3 ? 'none' : proximityM < 1 ? 'stop' : 'caution',
    },
    cameras: CAMERAS.map((id, index) => ({
      id,
      state: troubled && index === victim ? (fate < LAPS_WITH_CAMERA_TROUBLE / 3 ? 'offline' : 'blocked') : 'ok',
    })),
  };
}
