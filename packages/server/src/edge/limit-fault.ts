import { Fault } from '@gladhand/base/fault.ts';
import { limitFields, retryAfterSeconds } from '../limits/headers.ts';
import { type ChargeState, type Decision, policyOf, refusedBy, type SlotState } from '../limits/limits.ts';

/**
 * What a limit that refuses says to the caller: which limit, and when the next request will be accepted. `jitter` is a
 * random number in [0, 1), so that those who were refused together do not come back together.
 */
export function limitFault(decision: Decision, jitter: number): Fault {
  const refusing = refusedBy(decision);
  const state = refusing.reduce((worst, one) => (waitOf(one) > waitOf(worst) ? one : worst));
  // Windows end and buckets refill on whole seconds.
  const retryAtMs = Math.floor((decision.atMs + decision.retryAfterSeconds * 1000) / 1000) * 1000;
  const when = `The next request is accepted at ${new Date(retryAtMs).toISOString()}, in ${decision.retryAfterSeconds} s.`;
  return new Fault(codeOf(state), `${describe(state)} ${when}`, {
    retryAfterSeconds: retryAfterSeconds(decision, jitter),
    refusal: { limit: { name: policyOf(state).name, policy: policyItem(decision, state) }, retryAtMs },
  });
}

function waitOf(state: ChargeState | SlotState): number {
  return 'charge' in state ? state.retryAfterSeconds : 0;
}

function codeOf(state: ChargeState | SlotState) {
  if (!('charge' in state))
    return state.claim.policy.name === 'streams' ? 'too-many-streams' : 'too-many-concurrent-requests';
  return state.charge.policy.name === 'authenticate-failures' ? 'too-many-attempts' : 'rate-limited';
}

/** This limit alone as RateLimit-Policy has it. */
function policyItem(decision: Decision, state: ChargeState | SlotState): string {
  const alone = 'charge' in state ? { charges: [state], slot: undefined } : { charges: [], slot: state };
  return limitFields({ ...decision, ...alone, allowed: true }, 0)['ratelimit-policy'] ?? '';
}

function describe(state: ChargeState | SlotState): string {
  if (!('charge' in state)) {
    const what = state.claim.policy.name === 'streams' ? 'streams are open' : 'requests are under way';
    return `${state.limit} ${what}, as many as the plan of your organization allows at once.`;
  }
  const { policy } = state.charge;
  const size =
    policy.algorithm === 'fixed-window'
      ? `${policy.limit} in ${policy.windowSeconds} s`
      : `${policy.capacity}, of which ${policy.refillPerSecond} come back each second,`;
  return `The limit \`${policy.name}\` of ${size} is used up.`;
}
