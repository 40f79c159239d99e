import type { Clock } from '@gladhand/base/clock.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import type { OverloadReason } from './pressure.ts';

/**
 * Whether intake is closed to everybody, and why: looked at five times a second, and the backlog counted once a second,
 * because counting takes as long as there are many. While the backlog cannot be counted, the last count holds.
 */
export interface IntakeState {
  readonly closedFor: OverloadReason | undefined;
  close(): void;
}

export interface IntakeStateParts {
  readonly log: Pick<IntakeLog, 'pending' | 'backlog'>;
  readonly isDatabaseReady: () => boolean;
  readonly clock: Clock;
  /** Envelopes that may wait to be mapped. */
  readonly backlogEnvelopesMax: number;
  /** The log has written nothing for so long although something waits: whoever comes now would wait as long. */
  readonly stalledMs: number;
  /** Called at each look, before it. */
  readonly onLook: () => void;
  /** Told when a state that refuses everybody begins and ends. */
  readonly onState?: ((reason: OverloadReason | undefined) => void) | undefined;
}

const LOOK_MS = 200;
const COUNT_MS = 1_000;
/** After a backlog too long, intake opens again when a tenth of it is gone, so that it does not flutter. */
const REOPEN_SHARE = 0.9;

export function watchIntakeState(parts: IntakeStateParts): IntakeState {
  const { log, clock, backlogEnvelopesMax: most } = parts;
  let closedFor: OverloadReason | undefined;
  let isBacklogLong = false;
  let groupsSeen = log.pending().groupsWritten;
  /** Counted in looks, not by the clock, because a process that was paused saw nothing stall. */
  let stalledLooks = 0;
  let isClosed = false;
  let cancelLook = () => {};
  let cancelCount = () => {};

  function reasonNow(): OverloadReason | undefined {
    if (!parts.isDatabaseReady()) return 'database';
    if (stalledLooks * LOOK_MS >= parts.stalledMs) return 'stalled';
    return isBacklogLong ? 'backlog' : undefined;
  }

  function look(): void {
    parts.onLook();
    const { envelopes, groupsWritten } = log.pending();
    stalledLooks = envelopes === 0 || groupsWritten !== groupsSeen ? 0 : stalledLooks + 1;
    groupsSeen = groupsWritten;
    const reason = reasonNow();
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

  return {
    get closedFor() {
      return closedFor;
    },
    close() {
      isClosed = true;
      cancelLook();
      cancelCount();
    },
  };
}
