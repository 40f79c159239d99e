import { type Clock, sleep } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { createClient } from '@redis/client';
import { createHeldSlots, slotKey } from './held-slots.ts';
import { LATE, within } from './in-time.ts';
import { DECISION_MS_MAX, type Decision, LEASE_TTL_MS, type Limits, type TakeRequest } from './limits.ts';
import { BEAT, chargeArguments, type Script, TAKE, TAKE_MODES } from './lua.ts';
import { assertRequest, decide, decisionOf, refundable, type Situation, type Use, useKey } from './quota.ts';
import { createReach } from './reach.ts';
import { createShare } from './share.ts';
import { createSteadyTime } from './steady-time.ts';

/**
 * The limits of many nodes: decided by a script in Redis or Valkey, by its clock, in one round trip. While it is away
 * or slow, by this node's share (share.ts). One connection, which is made anew by itself; a node says every third of
 * the lease TTL that it lives and what it holds, and by the same message finds out whether Redis is back.
 */
export interface RedisLimitsParts {
  readonly url: string;
  /** What the names of its keys begin with. All lie in one hash slot of a cluster. */
  readonly prefix?: string;
  /** Another one at each start. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many nodes there are, until Redis has told. */
  readonly nodesExpected?: number;
  readonly leaseTtlMs?: number;
  readonly decisionMsMax?: number;
  readonly usesMax?: number;
  /** Told when Redis decides (true) and when this node's share does (false). */
  readonly onReach?: (isShared: boolean) => void;
  /** Told of every decision that this node's share made. */
  readonly onShare?: () => void;
}

const PREFIX = 'gladhand:';
/** How long a start waits for Redis before it goes on without. */
const OPEN_MS_MAX = 2_000;
const PROBE_MS = 250;
const RECONNECT_MS_MAX = 1_000;
const CONNECT_MS_MAX = 1_000;
/** A connection on which nothing came or went for so long is given up: its other end hangs. Longer than a beat. */
const SILENCE_MS_MAX = 5_000;
/** Commands that wait for answers, so that a Redis that hangs costs little memory. */
const COMMANDS_MAX = 20_000;
const SLOTS_PER_BEAT = 500;

/** Resolves when Redis decides, or after 2 s without it. Throws on a URL that is none. */
export async function openRedisLimits(parts: RedisLimitsParts): Promise<Limits> {
  const { clock, nodeId, leaseTtlMs = LEASE_TTL_MS, decisionMsMax = DECISION_MS_MAX } = parts;
  const root = `${parts.prefix ?? PREFIX}{limits}:`;
  const nodesKey = `${root}nodes`;
  const now = createSteadyTime(clock);
  /** Slots of which Redis may have another count than this node and no lease is left to say so. */
  const unsettled = new Set<string>();
  const held = createHeldSlots(tellReleased);
  const share = createShare(held, parts.usesMax);
  let nodes = Math.max(1, parts.nodesExpected ?? 1);
  let redisAheadMs = 0;
  let isClosed = false;
  let cancelBeat = () => {};

  const client = createClient({
    url: parts.url,
    socket: {
      connectTimeout: CONNECT_MS_MAX,
      socketTimeout: SILENCE_MS_MAX,
      reconnectStrategy: (tries) => Math.min(RECONNECT_MS_MAX, 50 * 2 ** Math.min(tries, 5)),
    },
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_MAX,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  });
  const reach = createReach({
    clock,
    log: parts.log,
    onChange(isOpen) {
      parts.onReach?.(isOpen);
      if (!isOpen) beatAfter(PROBE_MS);
    },
  });
  client.on('error', (error: unknown) => {
    missed(textOf(error), clock.monotonicMs());
  });
  function missed(reason: string, askedMs: number): void {
    if (!isClosed) reach.onMiss(reason, askedMs);
  }

  async function runScript(script: Script, keys: readonly string[], args: readonly string[]): Promise<number[]> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await client.sendCommand<number[]>(['EVALSHA', script.sha, ...rest]);
    } catch (error) {
      if (!textOf(error).startsWith('NOSCRIPT')) throw error;
      return client.sendCommand<number[]>(['EVAL', script.text, ...rest]);
    }
  }

  async function decideShared(mode: 'take' | 'peek', request: TakeRequest): Promise<Decision | undefined> {
    const { charges, slot } = request;
    const sent = charges.map(share.find);
    const keys = charges.map((charge) => root + useKey(charge));
    const args = [
      TAKE_MODES[mode],
      String(charges.length),
      ...charges.flatMap((charge, at) => chargeArguments(charge, sent[at])),
    ];
    const name = slot && slotKey(slot);
    const mine = name === undefined ? 0 : held.count(name);
    const asked = name !== undefined && mode === 'take' ? held.ask(name) : undefined;
    if (slot !== undefined) {
      keys.push(root + name, nodesKey);
      args.push(
        String(slot.policy.slotsMax),
        slot.policy.mode === 'enforce' ? '1' : '0',
        nodeId,
        String(mine),
        String(leaseTtlMs),
      );
    }
    const answer = await inTime(runScript(TAKE, keys, args));
    if (answer === undefined) {
      asked?.drop();
      // It may have been carried out all the same.
      if (name !== undefined) unsettled.add(name);
      return undefined;
    }
    const [, atMs, slotsInUse] = answer as [number, number, number];
    redisAheadMs = atMs - now();
    const uses: Use[] = charges.map((_, at) => ({ second: answer[3 + 2 * at]!, parts: answer[4 + 2 * at]! }));
    const situation: Situation = {
      nowMs: atMs,
      uses,
      slotsInUse,
      slotsMax: slot?.policy.slotsMax ?? 0,
      weight: 1,
      isDry: mode === 'peek',
    };
    const verdict = decide(request, situation);
    if (mode === 'take') {
      charges.forEach((charge, at) =>
        share.learn(charge, verdict.uses[at] ?? uses[at]!, sent[at], Math.floor(atMs / 1000)),
      );
    }
    if (!verdict.holdsSlot) asked?.drop();
    return decisionOf(request, situation, verdict, verdict.holdsSlot ? asked?.keep() : undefined, 'redis');
  }

  /** The answer, or undefined when it was late or none; either way `reach` learns of it. */
  async function inTime(work: Promise<number[]>): Promise<number[] | undefined> {
    const askedMs = clock.monotonicMs();
    try {
      const answer = await within(clock, decisionMsMax, work);
      if (answer !== LATE) {
        if (reach.isOpen) reach.onAnswer();
        return answer;
      }
      missed(`no answer in ${decisionMsMax} ms`, askedMs);
    } catch (error) {
      missed(textOf(error), askedMs);
    }
    return undefined;
  }

  async function decideAnyhow(mode: 'take' | 'peek', request: TakeRequest): Promise<Decision> {
    assertRequest(request);
    const decision = reach.isOpen ? await decideShared(mode, request) : undefined;
    if (decision !== undefined) return decision;
    if (mode === 'take') parts.onShare?.();
    return share.decide(request, { nowMs: now() + redisAheadMs, nodes, isDry: mode === 'peek', source: 'share' });
  }

  function tellReleased(name: string, count: number): void {
    if (isClosed) return;
    if (!reach.isOpen) {
      unsettled.add(name);
      return;
    }
    const command = count > 0 ? ['HSET', root + name, nodeId, String(count)] : ['HDEL', root + name, nodeId];
    client.sendCommand(command).catch(() => unsettled.add(name));
  }

  async function sendBeat(): Promise<number[]> {
    const settling = [...unsettled];
    const counts = new Map([...settling.map((name) => [name, held.count(name)] as const), ...held.entries()]);
    const names = [...counts.keys()];
    const answers: Promise<number[]>[] = [];
    for (let at = 0; at === 0 || at < names.length; at += SLOTS_PER_BEAT) {
      const some = names.slice(at, at + SLOTS_PER_BEAT);
      const keys = [nodesKey, ...some.map((name) => root + name)];
      answers.push(
        runScript(BEAT, keys, [nodeId, String(leaseTtlMs), ...some.map((name) => String(counts.get(name)))]),
      );
    }
    const all = await Promise.all(answers);
    for (const name of settling) unsettled.delete(name);
    return all[0]!;
  }

  /** Nothing more is asked of a Redis that has not answered the last beat. */
  async function beatOnce(): Promise<void> {
    const work = sendBeat();
    const answer = await inTime(work);
    if (answer !== undefined) {
      countNodes(answer[0]!);
      redisAheadMs = answer[1]! - now();
      reach.onAnswer();
    }
    await work.catch(() => {});
  }

  /**
   * More nodes count at once, fewer when it was fewer for a lease TTL: after Redis lost its data it knows only those
   * that spoke since, and a share that is too large would be worse than one that is too small.
   */
  let fewerSinceMs: number | undefined;
  function countNodes(alive: number): void {
    if (alive < nodes) {
      fewerSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - fewerSinceMs < leaseTtlMs) return;
    }
    nodes = Math.max(1, alive);
    fewerSinceMs = undefined;
  }

  let isBeating = false;
  function beatAfter(delayMs: number): void {
    cancelBeat();
    if (isClosed || isBeating) return;
    cancelBeat = clock.after(delayMs, () => void beatNow());
  }
  async function beatNow(): Promise<void> {
    if (isBeating) return;
    cancelBeat();
    isBeating = true;
    await beatOnce();
    isBeating = false;
    beatAfter(reach.isOpen ? leaseTtlMs / 3 : PROBE_MS);
  }

  const opening = client.connect().then(beatNow, () => {});
  await Promise.race([opening, sleep(clock, OPEN_MS_MAX)]);
  if (!reach.isOpen) beatAfter(PROBE_MS);

  return {
    take: (request) => decideAnyhow('take', request),
    peek: (request) => decideAnyhow('peek', request),
    async giveBack(decision) {
      const nowMs = now() + redisAheadMs;
      if (decision.source !== 'redis') return share.giveBack(decision, nowMs, nodes);
      const charges = refundable(decision, nowMs);
      if (charges.length === 0 || !reach.isOpen) return;
      const undone = charges.map((charge) => ({ ...charge, cost: -charge.cost }));
      const args = [
        TAKE_MODES.giveBack,
        String(undone.length),
        ...undone.flatMap((charge) => chargeArguments(charge, undefined)),
      ];
      const keys = charges.map((charge) => root + useKey(charge));
      await inTime(runScript(TAKE, keys, args));
    },
    nodes: () => nodes,
    async close() {
      if (isClosed) return;
      isClosed = true;
      cancelBeat();
      if (reach.isOpen) {
        const farewells = [...held.entries()].map(([name]) => client.sendCommand(['HDEL', root + name, nodeId]));
        farewells.push(client.sendCommand(['ZREM', nodesKey, nodeId]));
        await within(clock, OPEN_MS_MAX, Promise.allSettled(farewells));
      }
      if (client.isOpen) client.destroy();
    },
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
