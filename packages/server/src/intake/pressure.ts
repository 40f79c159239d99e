import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import type { EnterIntake } from '../limits/intake-pass.ts';

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
const LOOK_MS = 200;
/**
 * What a request costs beside its bytes, as so many bytes: a body of 1.1 KB takes 0.12 ms of intake, one of 300 KB 6 ms
 * (two cores, mapping beside it), so both add up to about 45 MB in a second.
 */
const REQUEST_WORK_BYTES = 4_096;
/** Looks that a pace is taken from: at least a second of them, and the last two. */
const PACE_LOOKS_MIN = 5;
const PACE_LOOKS_MAX = 10;
/** So much may always wait, however slow it goes. */
const WAITING_BYTES_MIN = 1024 * 1024;
const COUNT_MS = 1_000;
/** After a backlog too long, intake opens again when a tenth of it is gone, so that it does not flutter. */
const REOPEN_SHARE = 0.9;
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

/** What is under way, of all and of each key; `waiting` is work, in bytes, of requests whose bodies are here. */
interface Held {
  requests: number;
  bytes: number;
  waiting: number;
}

export function openPressure(parts: PressureParts): Pressure {
  const { log, clock, backlogEnvelopesMax: most, limits = PRESSURE_LIMITS } = parts;
  const total: Held = { requests: 0, bytes: 0, waiting: 0 };
  const pace = createPace(clock);
  const ofKeys = new Map<string, Held>();
  let closedFor: OverloadReason | undefined;
  let isBacklogLong = false;
  let groupsSeen = log.pending().groupsWritten;
  /** Counted in looks, not by the clock, because a process that was paused saw nothing stall. */
  let stalledLooks = 0;
  let isClosed = false;
  let cancelLook = () => {};
  let cancelCount = () => {};

  function look(): void {
    pace.look(total.waiting);
    const { envelopes, groupsWritten } = log.pending();
    stalledLooks = envelopes === 0 || groupsWritten !== groupsSeen ? 0 : stalledLooks + 1;
    groupsSeen = groupsWritten;
    const isStalled = stalledLooks * LOOK_MS >= limits.stalledMs;
    const reason = !parts.isDatabaseReady()
      ? 'database'
      : isStalled
        ? 'stalled'
        : isBacklogLong
          ? 'backlog'
          : undefined;
    if (reason !== closedFor) parts.onState?.(reason);
    closedFor = reason;
    if (!isClosed) cancelLook = clock.after(LOOK_MS, look);
  }

  async function count(): Promise<void> {
    const waiting = await log.backlog(most + 1).catch(() => undefined);
    if (waiting !== undefined) isBacklogLong = waiting > (isBacklogLong ? most * REOPEN_SHARE : most);
    if (!isClosed) cancelCount = clock.after(COUNT_MS, () => void count());
  }
  look();
  void count();

  function reasonFor(own: Held | undefined, bytes: number): OverloadReason | undefined {
    if (closedFor !== undefined) return closedFor;
    const waitMs = total.waiting > WAITING_BYTES_MIN ? pace.msFor(total.waiting) : 0;
    if (waitMs > limits.waitMsMax) return 'slow';
    if (waitMs > limits.waitMsMax / 2 && pace.msFor(own?.waiting ?? 0) > limits.waitMsMax / SHARE_OF_KEY) return 'slow';
    // What waits for the disk counts as it is, decoded, also when its sender is gone.
    const pending = log.pending();
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

  function refuse(reason: OverloadReason): never {
    parts.onRefused?.(reason);
    const least = RETRY_SECONDS[reason];
    throw new Fault('overloaded', 'More comes in at the moment than can be stored. Send the same bytes again later.', {
      retryAfterSeconds: least + Math.floor(parts.random() * (least + 1)),
    });
  }

  return {
    enter({ keyId, bytes }) {
      const own = ofKeys.get(keyId);
      const reason = reasonFor(own, bytes);
      if (reason !== undefined) refuse(reason);
      const mine = own ?? { requests: 0, bytes: 0, waiting: 0 };
      if (own === undefined) ofKeys.set(keyId, mine);
      let held = 0;
      let waiting = 0;
      const count = (requests: number, more: number, moreWaiting: number) => {
        for (const sum of [total, mine]) {
          sum.requests += requests;
          sum.bytes += more;
          sum.waiting += moreWaiting;
        }
        held += more;
        waiting += moreWaiting;
      };
      count(1, bytes, 0);
      let isIn = true;
      return {
        hold(actual) {
          if (!isIn) return;
          count(0, actual - held, actual + REQUEST_WORK_BYTES - waiting);
        },
        leave() {
          if (!isIn) return;
          isIn = false;
          pace.finish(waiting);
          count(-1, -held, -waiting);
          if (mine.requests === 0) ofKeys.delete(keyId);
        },
      };
    },
    state: () => ({ requests: total.requests, bytes: total.bytes, isRefusing: closedFor !== undefined }),
    close() {
      isClosed = true;
      cancelLook();
      cancelCount();
    },
  };
}

/**
 * How long what waits will take, at the pace of the last two seconds. The log is written in bursts, so a pace is known
 * only after a second of them; and only while more waits than is done between two looks, because whoever is seldom asked
 * shows little of what it could do.
 */
function createPace(clock: Clock) {
  let done = 0;
  let lookedMs = clock.monotonicMs();
  let looks: { readonly done: number; readonly ms: number }[] = [];
  let perMs: number | undefined;
  return {
    finish(bytes: number): void {
      done += bytes;
    },
    look(waiting: number): void {
      const nowMs = clock.monotonicMs();
      looks = [...looks.slice(1 - PACE_LOOKS_MAX), { done, ms: nowMs - lookedMs }];
      [lookedMs, done] = [nowMs, 0];
      const doneInAll = looks.reduce((sum, look) => sum + look.done, 0);
      if (waiting <= doneInAll / looks.length) looks = [];
      const isKnown = looks.length >= PACE_LOOKS_MIN;
      perMs = isKnown ? doneInAll / looks.reduce((sum, look) => sum + look.ms, 0) : undefined;
    },
    /** 0 while no pace is known. */
    msFor: (bytes: number) => (perMs === undefined ? 0 : bytes / perMs),
  };
}
