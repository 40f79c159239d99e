import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyReply } from 'fastify';
import { type Decision, type Limits, SLOT_RETRY_SECONDS, type TakeRequest } from '../limits/limits.ts';
import type { WaitingLine } from '../limits/waiting-line.ts';

/** A read that may wait for a slot. */
export interface WaitingRead {
  /** Whose line it waits in. */
  readonly key: string;
  readonly lengthMax: number;
  readonly waitMsMax: number;
  readonly request: TakeRequest;
}

export interface AdmissionParts {
  readonly limits: Limits;
  readonly line: WaitingLine;
}

/** What was decided at once, or when it was this read's turn; a refusal when its time is over or the line is full. */
export async function admitInTurn(parts: AdmissionParts, read: WaitingRead, reply: FastifyReply): Promise<Decision> {
  const { limits, line } = parts;
  const { key, lengthMax, waitMsMax, request } = read;
  if (line.length(key) === 0) {
    const decision = await limits.take(request);
    if (!isLackingSlotOnly(decision)) return decision;
  }
  const gone = new AbortController();
  const hangUp = () => gone.abort(new Fault('too-many-concurrent-requests', 'The client went away while it waited.'));
  reply.raw.once('close', hangUp);
  try {
    const entered = await line.enter<Decision>({
      key,
      lengthMax,
      waitMsMax,
      signal: gone.signal,
      async attempt() {
        const decision = await limits.take(request);
        return isLackingSlotOnly(decision) ? undefined : decision;
      },
      giveBack: (decision) => decision.lease?.release(),
    });
    return entered.outcome === 'entered' ? entered.value : withoutSlot(await limits.peek(request));
  } finally {
    reply.raw.off('close', hangUp);
  }
}

/** Refused although a slot may have come free by now: it is for who stands in line. */
function withoutSlot(decision: Decision): Decision {
  const { slot } = decision;
  const retryAfterSeconds = Math.max(SLOT_RETRY_SECONDS, decision.retryAfterSeconds);
  return { ...decision, allowed: false, retryAfterSeconds, slot: slot && { ...slot, fits: false } };
}

function isLackingSlotOnly({ allowed, charges, slot }: Decision): boolean {
  if (allowed || slot === undefined || slot.fits) return false;
  return charges.every(({ fits, charge }) => fits || charge.policy.mode === 'report');
}
