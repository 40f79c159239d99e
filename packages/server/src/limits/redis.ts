import { type Clock, sleep } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { createClient } from '@redis/client';
import { createHeldSlots } from './held-slots.ts';
import { within } from './in-time.ts';
import { DECISION_MS_MAX, type Decision, LEASE_TTL_MS, type Limits, type TakeRequest } from './limits.ts';
import { assertRequest } from './quota.ts';
import { createReach } from './reach.ts';
import { createNodeCount, createRedisBeat, PROBE_MS } from './redis-beat.ts';
import { decideShared, giveBackShared, type SharedDecisionParts, type TakeMode } from './redis-decision.ts';
import { createRedisLink, type RedisKeys, textOf } from './redis-link.ts';
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
const RECONNECT_MS_MAX = 1_000;
const CONNECT_MS_MAX = 1_000;
/** A connection on which nothing came or went for so long is given up: its other end hangs. Longer than a beat. */
const SILENCE_MS_MAX = 5_000;
/** Commands that wait for answers, so that a Redis that hangs costs little memory. */
const COMMANDS_MAX = 20_000;

/** Resolves when Redis decides, or after 2 s without it. Throws on a URL that is none. */
export async function openRedisLimits(parts: RedisLimitsParts): Promise<Limits> {
  const { clock, nodeId, leaseTtlMs = LEASE_TTL_MS, decisionMsMax = DECISION_MS_MAX } = parts;
  const keys = keysOf(parts.prefix ?? PREFIX);
  const now = createSteadyTime(clock);
  const unsettled = new Set<string>();
  const nodeCount = createNodeCount(clock, leaseTtlMs, parts.nodesExpected ?? 1);
  let redisAheadMs = 0;
  let isClosed = false;
  const onTime = (atMs: number) => {
    redisAheadMs = atMs - now();
  };

  const client = openClient(parts.url);
  const reach = createReach({
    clock,
    log: parts.log,
    onChange(isOpen) {
      parts.onReach?.(isOpen);
      if (!isOpen) beat.after(PROBE_MS);
    },
  });
  const link = createRedisLink({ commands: client, clock, decisionMsMax, reach, isClosed: () => isClosed });
  client.on('error', (error: unknown) => link.missed(textOf(error), clock.monotonicMs()));
  const held = createHeldSlots((name, count) => {
    if (isClosed) return;
    if (!reach.isOpen) {
      unsettled.add(name);
      return;
    }
    const slot = keys.root + name;
    const command = count > 0 ? ['HSET', slot, nodeId, String(count)] : ['HDEL', slot, nodeId];
    link.send(command).catch(() => unsettled.add(name));
  });
  const share = createShare(held, parts.usesMax);
  const common = { keys, nodeId, leaseTtlMs, link, held };
  const shared: SharedDecisionParts = { ...common, share, onTime, onUnsettled: (name) => unsettled.add(name) };
  const beat = createRedisBeat({
    ...common,
    clock,
    reach,
    unsettled,
    isClosed: () => isClosed,
    onBeat(alive, atMs) {
      nodeCount.learn(alive);
      onTime(atMs);
    },
  });

  async function decideAnyhow(mode: TakeMode, request: TakeRequest): Promise<Decision> {
    assertRequest(request);
    const decision = reach.isOpen ? await decideShared(shared, mode, request) : undefined;
    if (decision !== undefined) return decision;
    if (mode === 'take') parts.onShare?.();
    const situation = { nowMs: now() + redisAheadMs, nodes: nodeCount.nodes, isDry: mode === 'peek' };
    return share.decide(request, { ...situation, source: 'share' });
  }

  const opening = client.connect().then(beat.now, () => {});
  await Promise.race([opening, sleep(clock, OPEN_MS_MAX)]);
  if (!reach.isOpen) beat.after(PROBE_MS);

  return {
    take: (request) => decideAnyhow('take', request),
    peek: (request) => decideAnyhow('peek', request),
    async giveBack(decision) {
      const nowMs = now() + redisAheadMs;
      if (decision.source !== 'redis') return share.giveBack(decision, nowMs, nodeCount.nodes);
      await giveBackShared(shared, decision, nowMs, reach.isOpen);
    },
    nodes: () => nodeCount.nodes,
    async close() {
      if (isClosed) return;
      isClosed = true;
      beat.cancel();
      if (reach.isOpen) await within(clock, OPEN_MS_MAX, sayFarewell(shared));
      if (client.isOpen) client.destroy();
    },
  };
}

function keysOf(prefix: string): RedisKeys {
  const root = `${prefix}{limits}:`;
  return { root, nodes: `${root}nodes` };
}

function openClient(url: string) {
  return createClient({
    url,
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
}

/** What this node holds comes free at once, not when its leases end. */
function sayFarewell({ keys, nodeId, link, held }: SharedDecisionParts): Promise<unknown> {
  const farewells = [...held.entries()].map(([name]) => link.send(['HDEL', keys.root + name, nodeId]));
  farewells.push(link.send(['ZREM', keys.nodes, nodeId]));
  return Promise.allSettled(farewells);
}
