import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import type { EnterIntake } from '../limits/intake-pass.ts';
import { createAdmitted, type Held } from './admitted.ts';
import { watchIntakeState } from './intake-state.ts';
import { createPace, type Pace } from './pace.ts';

/**
 * Whether intake can take one more. Promise: what is beyond is refused at once, before its body is read, so that what
 * was admitted stays fast and memory stays bounded; a key that sends slowly or without measure gets no more than half
 * of the room while others need theirs. Assumes every request that enters is taken out when it is over. Fails softly:
 * while the backlog cannot be counted, the last count holds. Only intake asks here: authentication, administration and
 * reading go on.
 */
export interface Pressure {
  /** Lets a request in or throws `overloaded`. */
  readonly enter: EnterIntake;
  state(): { readonly requests: number; readonly bytes: number; readonly isRefusing: boolean };
  close(): void;
}

/** Why a request was refused; the label of a metric. */
export type OverloadReason = 'database' | 'stalled' | 'backlog' | 'requests' | 'bytes' | 'slow';

export interface PressureLimits {
  /** Requests under way: at 5,000 a second, so many are through in a fifth of a second. */
  readonly requestsMax: number;
  /** Of their bodies; parsing one takes some three times as much again. */
  readonly bytesMax: number;
  /** The log has written nothing for so long although something waits: whoever comes now would wait as long. */
  readonly stalledMs: number;
  /** What waits may be as much as was done in so long: whoever is let in is answered in about that time. */
  readonly waitMsMax: number;
}

export const PRESSURE_LIMITS: PressureLimits = {
  requestsMax: 1_000,
  bytesMax: 64 * 1024 * 1024,
  stalledMs: 1_000,
  waitMsMax: 1_000,
};

/** A key may hold one in so many parts when more than half of all is taken. */
const SHARE_OF_KEY = 4;
/** So much may always wait, however slow it goes. */
const WAITING_BYTES_MIN = 1024 * 1024;
/** When to come back, at the earliest: a queue of requests is short, a backlog takes a while. Up to as much again is added. */
const RETRY_SECONDS: Readonly<Record<OverloadReason, number>> = {
  requests: 1,
  bytes: 1,
  slow: 1,
  stalled: 2,
  database: 2,
  backlog: 10,
};

export interface PressureParts {
  readonly log: Pick<IntakeLog, 'pending' | 'backlog'>;
  readonly isDatabaseReady: () => boolean;
  readonly clock: Clock;
  /** A random number in [0, 1). */
  readonly random: () => number;
  /** Envelopes that may wait to be mapped. */
  readonly backlogEnvelopesMax: number;
  readonly limits?: PressureLimits;
  readonly onRefused?: (reason: OverloadReason) => void;
  /** Told when a state that refuses everybody begins and ends. */
  readonly onState?: (reason: OverloadReason | undefined) => void;
}

export function openPressure(parts: PressureParts): Pressure {
  const { log, clock, limits = PRESSURE_LIMITS } = parts;
  const pace = createPace(clock);
  const admitted = createAdmitted(pace.finish);
  const { total } = admitted;
  const state = watchIntakeState({
    log,
    isDatabaseReady: parts.isDatabaseReady,
    clock,
    backlogEnvelopesMax: parts.backlogEnvelopesMax,
    stalledMs: limits.stalledMs,
    onLook: () => pace.look(total.waiting),
    onState: parts.onState,
  });

  function refuse(reason: OverloadReason): never {
    parts.onRefused?.(reason);
    const least = RETRY_SECONDS[reason];
    throw new Fault('overloaded', 'More comes in at the moment than can be stored. Send the same bytes again later.', {
      retryAfterSeconds: least + Math.floor(parts.random() * (least + 1)),
    });
  }

  return {
    enter({ keyId, bytes }) {
      const own = admitted.ofKey(keyId);
      const reason =
        state.closedFor ?? tooSlow(limits, pace, total, own) ?? tooMuch(limits, log.pending(), total, own, bytes);
      if (reason !== undefined) refuse(reason);
      return admitted.add(keyId, bytes);
    },
    state: () => ({ requests: total.requests, bytes: total.bytes, isRefusing: state.closedFor !== undefined }),
    close: state.close,
  };
}

/** Whether whoever is let in now would wait too long; a key with a large part of what waits is refused at half of it. */
function tooSlow(limits: PressureLimits, pace: Pace, total: Held, own: Held | undefined): 'slow' | undefined {
  const waitMs = total.waiting > WAITING_BYTES_MIN ? pace.msFor(total.waiting) : 0;
  if (waitMs > limits.waitMsMax) return 'slow';
  const isOwnLong = pace.msFor(own?.waiting ?? 0) > limits.waitMsMax / SHARE_OF_KEY;
  return waitMs > limits.waitMsMax / 2 && isOwnLong ? 'slow' : undefined;
}

function tooMuch(
  limits: PressureLimits,
  pending: ReturnType<IntakeLog['pending']>,
  total: Held,
  own: Held | undefined,
  bytes: number,
): 'bytes' | 'requests' | undefined {
  // What waits for the disk counts as it is, decoded, also when its sender is gone.
  if (pending.bytes > limits.bytesMax) return 'bytes';
  if (pending.envelopes > limits.requestsMax) return 'requests';
  const isOver = (what: 'requests' | 'bytes', more: number, whole: number) => {
    const taken = total[what] + more;
    // One body may be larger than a quarter of everything, and then it may come alone.
    if (taken > whole) return total.requests > 0;
    return own !== undefined && taken > whole / 2 && own[what] + more > whole / SHARE_OF_KEY;
  };
  if (isOver('requests', 1, limits.requestsMax)) return 'requests';
  return isOver('bytes', bytes, limits.bytesMax) ? 'bytes' : undefined;
}
