import { createHash } from 'node:crypto';
import type { Charge } from './limits.ts';
import { limitOf, PARTS_PER_UNIT, periodOf, STEP_BACK_SECONDS_MAX } from './quota.ts';
import type { ShareUse } from './share.ts';

/**
 * What runs inside Redis 6.2+ or Valkey: one script per decision, so that nothing comes between looking and charging.
 * Time is Redis's own. Uses are kept as the text `second parts`, and what a reply says is enough for quota.ts to
 * compute the same decision; the numbers stay below 2^53, which Lua 5.1 holds exactly.
 */

export interface Script {
  readonly text: string;
  /** Its name in EVALSHA. */
  readonly sha: string;
}

function scriptOf(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** The arguments of one charge in `TAKE`: algorithm, limit, cost, period, isEnforced, then the hint's second, parts, isNews. */
export function chargeArguments({ policy, cost }: Charge, hint: ShareUse | undefined): string[] {
  return [
    policy.algorithm === 'fixed-window' ? 'w' : 'b',
    String(limitOf(policy) * PARTS_PER_UNIT),
    String(cost * PARTS_PER_UNIT),
    String(periodOf(policy)),
    policy.mode === 'enforce' ? '1' : '0',
    hint === undefined ? '' : String(hint.second),
    hint === undefined ? '' : String(hint.parts),
    hint?.isNews ? '1' : '0',
  ];
}

const ARGUMENTS_PER_CHARGE = 8;

/** What `TAKE` is to do. */
export const TAKE_MODES = { take: '0', peek: '1', giveBack: '2' } as const;

/**
 * KEYS: a use for each charge; then, when a slot is claimed, the slot's hash (node -> leases held) and the sorted set of
 * nodes (by when they were last heard of, ms). ARGV: mode, number of charges, the charges' arguments (numbers in
 * parts), then slotsMax, isEnforced, this node's id, how many it holds, lease TTL in ms.
 * Answers {allowed, now in ms, leases in use, then second and parts of each charge before it}.
 *
 * A hint is the use this node saw last. It counts when Redis has none (it lost its data), and when the node has news:
 * when it decided by its share since.
 */
export const TAKE = scriptOf(`
local time = redis.call('TIME')
local nowSecond = tonumber(time[1])
local nowMs = nowSecond * 1000 + math.floor(tonumber(time[2]) / 1000)
local mode, count = ARGV[1], tonumber(ARGV[2])

local function useAt(algorithm, limit, period, second, parts)
  local now = nowSecond
  if now < second and second - now <= ${STEP_BACK_SECONDS_MAX} then now = second end
  if algorithm == 'w' then
    if math.floor(now / period) ~= math.floor(second / period) then parts = 0 end
  elseif now > second then
    parts = math.max(0, parts - (now - second) * period)
  end
  return now, math.min(limit, parts)
end

local answer = {0, nowMs, 0}
local allowed = true
local charges = {}
for i = 1, count do
  local a = 2 + (i - 1) * ${ARGUMENTS_PER_CHARGE}
  local algorithm, limit, cost, period = ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  local second, parts, isTold = nowSecond, 0, false
  local kept = redis.call('GET', KEYS[i])
  if kept then
    local space = string.find(kept, ' ', 1, true)
    second, parts = useAt(algorithm, limit, period, tonumber(string.sub(kept, 1, space - 1)), tonumber(string.sub(kept, space + 1)))
  end
  if ARGV[a + 6] ~= '' and (not kept or ARGV[a + 8] == '1') then
    local hintSecond, hintParts = useAt(algorithm, limit, period, tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7]))
    if hintSecond > second then
      second, parts, isTold = hintSecond, hintParts, true
    elseif hintSecond == second and hintParts > parts then
      parts, isTold = hintParts, true
    end
  end
  local wanted = math.max(${PARTS_PER_UNIT}, cost)
  local fits = mode == '${TAKE_MODES.giveBack}' or parts + wanted <= limit
  if not fits and ARGV[a + 5] == '1' then allowed = false end
  charges[i] = {algorithm, limit, cost, period, second, parts, fits, isTold}
  answer[2 + 2 * i] = second
  answer[3 + 2 * i] = parts
end

local slot = KEYS[count + 1]
local holds = false
local s = 2 + count * ${ARGUMENTS_PER_CHARGE}
if slot then
  local ttlMs = tonumber(ARGV[s + 5])
  local alive = {}
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[count + 2], nowMs - ttlMs, '+inf')) do alive[node] = true end
  local inUse = tonumber(ARGV[s + 4])
  local leases = redis.call('HGETALL', slot)
  for i = 1, #leases, 2 do
    if leases[i] ~= ARGV[s + 3] then
      if alive[leases[i]] then
        inUse = inUse + tonumber(leases[i + 1])
      elseif mode == '${TAKE_MODES.take}' then
        redis.call('HDEL', slot, leases[i])
      end
    end
  end
  answer[3] = inUse
  holds = inUse < tonumber(ARGV[s + 1])
  if not holds and ARGV[s + 2] == '1' then allowed = false end
end

if allowed then answer[1] = 1 end
if mode == '${TAKE_MODES.peek}' then return answer end

-- What a node told is kept although it is refused: it tells it once.
for i = 1, count do
  local algorithm, limit, cost, period, second, parts, fits, isTold = unpack(charges[i])
  local isCharged = allowed and fits and cost ~= 0
  if isCharged or isTold then
    if isCharged then parts = math.max(0, math.min(limit, parts + cost)) end
    local forgottenFrom
    if algorithm == 'w' then
      forgottenFrom = (math.floor(second / period) + 1) * period
    else
      forgottenFrom = second + math.ceil(parts / period)
    end
    local ttlMs = math.max(1000, forgottenFrom * 1000 - nowMs) + ${STEP_BACK_SECONDS_MAX * 1000}
    redis.call('SET', KEYS[i], string.format('%.0f %.0f', second, parts), 'PX', string.format('%.0f', ttlMs))
  end
end
if allowed and holds then
  redis.call('HSET', slot, ARGV[s + 3], tonumber(ARGV[s + 4]) + 1)
  redis.call('PEXPIRE', slot, 2 * tonumber(ARGV[s + 5]))
  redis.call('ZADD', KEYS[count + 2], nowMs, ARGV[s + 3])
end
return answer
`);

/**
 * "I am here, and this is what I hold." KEYS: the sorted set of nodes, then slots' hashes. ARGV: this node's id, lease
 * TTL in ms, then how many leases it holds in each. Answers {nodes that are alive, now in ms}.
 */
export const BEAT = scriptOf(`
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local node, ttlMs = ARGV[1], tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', nowMs - 10 * ttlMs)
redis.call('ZADD', KEYS[1], nowMs, node)
redis.call('PEXPIRE', KEYS[1], 20 * ttlMs)
for i = 2, #KEYS do
  local held = tonumber(ARGV[i + 1])
  if held > 0 then
    redis.call('HSET', KEYS[i], node, held)
    redis.call('PEXPIRE', KEYS[i], 2 * ttlMs)
  else
    redis.call('HDEL', KEYS[i], node)
  end
end
return {redis.call('ZCOUNT', KEYS[1], nowMs - ttlMs, '+inf'), nowMs}
`);
