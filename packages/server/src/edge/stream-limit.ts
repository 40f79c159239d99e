import type { Principal } from '../access/principal.ts';
import { limitFields } from '../limits/headers.ts';
import { limitFault } from './limit-fault.ts';
import type { LimitGuardParts } from './limit-guard.ts';

/**
 * LiveFeed streams per plan: a slot for each stream that is open. Throws `too-many-streams` when there is none. Streams
 * do not wait in line: whoever opens one wants it for hours.
 */
export type OpenStreamSlot = (principal: Principal) => Promise<StreamSlot>;

export interface StreamSlot {
  /** How the limit stands: the RateLimit fields, for the stream's initial metadata. */
  readonly fields: Readonly<Record<string, string>>;
  giveBack(): void;
}

type StreamLimitParts = Pick<LimitGuardParts, 'limits' | 'rules' | 'random' | 'onDecided' | 'onUsed'>;

export function createStreamLimit(parts: StreamLimitParts): OpenStreamSlot {
  const { limits, rules, onDecided } = parts;
  return async (principal) => {
    const { streams, proposedStreams } = rules.of(principal.organizationId);
    const decision = await limits.take({ charges: [], slot: { policy: streams, key: principal.organizationId } });
    const { fits, inUse } = decision.slot!;
    const isReported = !fits && streams.mode === 'report';
    onDecided(streams.name, fits ? 'allowed' : isReported ? 'would-refuse' : 'refused');
    const isOverProposed = proposedStreams !== undefined && inUse > proposedStreams;
    if (proposedStreams !== undefined) onDecided('streams-proposed', isOverProposed ? 'would-refuse' : 'allowed');
    const wouldRefuse = isReported || isOverProposed;
    parts.onUsed(principal, { isRefused: !decision.allowed, wouldRefuse, bytes: 0 });
    if (!decision.allowed) throw limitFault(decision, parts.random());
    return { fields: { ...limitFields(decision, 0) }, giveBack: () => decision.lease?.release() };
  };
}
