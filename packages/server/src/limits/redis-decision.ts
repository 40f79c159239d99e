import type { HeldSlots } from './held-slots.ts';
import { slotKey } from './held-slots.ts';
import type { Charge, Decision, TakeRequest } from './limits.ts';
import { chargeArguments, TAKE, TAKE_MODES } from './lua.ts';
import { decide, decisionOf, refundable, type Situation, type Use, useKey } from './quota.ts';
import type { RedisKeys, RedisLink } from './redis-link.ts';
import type { Share, ShareUse } from './share.ts';

export interface SharedDecisionParts {
  readonly keys: RedisKeys;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
  readonly link: RedisLink;
  readonly held: HeldSlots;
  readonly share: Share;
  /** Told what time it is in Redis, milliseconds since the epoch. */
  readonly onTime: (atMs: number) => void;
  /** Told of a slot of which Redis may have another count than this node. */
  readonly onUnsettled: (name: string) => void;
}

export type TakeMode = 'take' | 'peek';

/** Decides in Redis, in one round trip; undefined when there was no answer in time. */
export async function decideShared(
  parts: SharedDecisionParts,
  mode: TakeMode,
  request: TakeRequest,
): Promise<Decision | undefined> {
  const { charges, slot } = request;
  const { link, held, share } = parts;
  const sent = charges.map(share.find);
  const name = slot && slotKey(slot);
  const mine = name === undefined ? 0 : held.count(name);
  const asked = name !== undefined && mode === 'take' ? held.ask(name) : undefined;
  const { keys, args } = takeArguments(parts, mode, request, sent, mine);
  const answer = await link.inTime(link.run(TAKE, keys, args));
  if (answer === undefined) {
    asked?.drop();
    // It may have been carried out all the same.
    if (name !== undefined) parts.onUnsettled(name);
    return undefined;
  }
  const situation = readSituation(answer, mode, request);
  parts.onTime(situation.nowMs);
  const verdict = decide(request, situation);
  if (mode === 'take') {
    const second = Math.floor(situation.nowMs / 1000);
    charges.forEach((charge, n) => share.learn(charge, verdict.uses[n] ?? situation.uses[n]!, sent[n], second));
  }
  if (!verdict.holdsSlot) asked?.drop();
  return decisionOf(request, situation, verdict, verdict.holdsSlot ? asked?.keep() : undefined, 'redis');
}

function takeArguments(
  { keys: { root, nodes }, nodeId, leaseTtlMs }: SharedDecisionParts,
  mode: TakeMode,
  { charges, slot }: TakeRequest,
  sent: readonly (ShareUse | undefined)[],
  mine: number,
): { keys: string[]; args: string[] } {
  const keys = charges.map((charge) => root + useKey(charge));
  const args = chargesArguments(TAKE_MODES[mode], charges, sent);
  if (slot !== undefined) {
    keys.push(root + slotKey(slot), nodes);
    const isEnforced = slot.policy.mode === 'enforce' ? '1' : '0';
    args.push(String(slot.policy.slotsMax), isEnforced, nodeId, String(mine), String(leaseTtlMs));
  }
  return { keys, args };
}

function chargesArguments(
  mode: string,
  charges: readonly Charge[],
  sent: readonly (ShareUse | undefined)[] = [],
): string[] {
  return [mode, String(charges.length), ...charges.flatMap((charge, n) => chargeArguments(charge, sent[n]))];
}

/** What `TAKE` answered: whether it allowed, when it decided, the slots in use, then two numbers for each use. */
function readSituation(answer: readonly number[], mode: TakeMode, { charges, slot }: TakeRequest): Situation {
  const [, nowMs, slotsInUse] = answer as [number, number, number];
  const uses: Use[] = charges.map((_, n) => ({ second: answer[3 + 2 * n]!, parts: answer[4 + 2 * n]! }));
  return { nowMs, uses, slotsInUse, slotsMax: slot?.policy.slotsMax ?? 0, weight: 1, isDry: mode === 'peek' };
}

/** Takes back in Redis what of a decision of its own can still be taken back. */
export async function giveBackShared(
  { keys: { root }, link }: SharedDecisionParts,
  decision: Decision,
  nowMs: number,
  isOpen: boolean,
): Promise<void> {
  const charges = refundable(decision, nowMs);
  if (charges.length === 0 || !isOpen) return;
  const undone = charges.map((charge) => ({ ...charge, cost: -charge.cost }));
  const names = charges.map((charge) => root + useKey(charge));
  await link.inTime(link.run(TAKE, names, chargesArguments(TAKE_MODES.giveBack, undone)));
}
