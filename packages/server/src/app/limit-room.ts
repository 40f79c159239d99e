import type { Ids } from '@gladhand/base/ids.ts';
import { findPublicId } from '../access/api-key.ts';
import type { Config } from '../config.ts';
import { createFixedLimits } from '../edge/fixed-limits.ts';
import { type BeginKeyAttempt, createKeyAttempts } from '../edge/key-attempts.ts';
import type { LimitGuardParts } from '../edge/limit-guard.ts';
import { createLimitUses, type LimitUses } from '../edge/limit-use.ts';
import { createStreamLimit, type OpenStreamSlot } from '../edge/stream-limit.ts';
import { openPressure, type Pressure } from '../intake/pressure.ts';
import { createWaitingLine } from '../limits/waiting-line.ts';
import { openPlanDirectory, type PlanDirectory } from '../plans/plan-directory.ts';
import { createPlans, type Plans } from '../plans/plans.ts';
import { createProductLimits, type ProductLimits } from '../plans/product-limits.ts';
import { openUsage, type Usage } from '../plans/usage.ts';
import type { Backends, Surroundings } from './backends.ts';
import type { Foundation } from './foundation.ts';
import type { Metrics } from './metrics.ts';

/** Everything that limits, put together: who may use how much, what was used, and what the wall asks before it lets in. */
export interface LimitRoom extends LimitGuardParts {
  readonly planDirectory: PlanDirectory;
  readonly plans: Plans;
  readonly productLimits: ProductLimits;
  readonly limitUses: LimitUses;
  readonly usage: Usage;
  readonly openStreamSlot: OpenStreamSlot;
  /** To be called after an organization was put on another plan. */
  announceChange(): Promise<void>;
  close(): Promise<void>;
}

/** What access asks before it looks up a key that it does not know; it is opened before everything else that limits. */
export function createAttemptLimit(
  config: Config,
  { ids }: Surroundings,
  { limits, metrics }: { limits: Backends['limits']; metrics: Metrics },
): BeginKeyAttempt {
  const fixed = createFixedLimits(config.limits.mode);
  return createKeyAttempts({ limits, fixed, random: randomOf(ids), onDecided: metrics.onLimit });
}

/** So many numbers are drawn at a time: a refusal should not cost a call of the system. */
const NUMBERS_DRAWN = 256;

/** A number in [0, 1). */
function randomOf(ids: Ids): () => number {
  let [drawn, left]: [Buffer, number] = [Buffer.alloc(0), 0];
  return () => {
    if (left === 0) [drawn, left] = [ids.randomBytes(4 * NUMBERS_DRAWN), NUMBERS_DRAWN];
    left -= 1;
    return drawn.readUInt32BE(4 * left) / 2 ** 32;
  };
}

export async function openLimitRoom(
  config: Config,
  around: Surroundings,
  { backends, epoch, products, metrics }: Foundation,
): Promise<LimitRoom> {
  const { clock, ids, log } = around;
  const { database, limits } = backends;
  const random = randomOf(ids);
  const { mode } = config.limits;
  const planDirectory = await openPlanDirectory({
    database,
    clock,
    log,
    epoch,
    findIntakeLimit: (name) => products.find(name)?.intakeLimit,
    mode,
  });
  const usage = openUsage({ database, clock, log });
  const pressure = openIntakePressure(config, around, { backends, metrics, random });
  metrics.watchIntake(pressure.state);
  const announceChange = async () => {
    await epoch.announceChange();
    await planDirectory.refresh();
  };
  const recorded = { database, clock, onChanged: announceChange };
  const fixed = createFixedLimits(mode);
  const guard: LimitGuardParts = {
    limits,
    line: createWaitingLine({ clock }),
    rules: planDirectory,
    fixed,
    findPublicId,
    enterIntake: pressure.enter,
    random,
    onDecided: metrics.onLimit,
    onUsed: usage.count,
  };
  return {
    ...guard,
    planDirectory,
    plans: createPlans({ ...recorded, ids }),
    productLimits: createProductLimits({ ...recorded, findProductLimit: planDirectory.findProductLimit }),
    limitUses: createLimitUses({ limits, rules: planDirectory, fixed }),
    usage,
    openStreamSlot: createStreamLimit(guard),
    announceChange,
    async close() {
      pressure.close();
      planDirectory.close();
      await usage.close();
    },
  };
}

/** Refuses intake while more comes in than can be stored. */
function openIntakePressure(
  config: Config,
  { clock, log }: Surroundings,
  { backends, metrics, random }: { backends: Backends; metrics: Metrics; random: () => number },
): Pressure {
  return openPressure({
    log: backends.intakeLog,
    isDatabaseReady: () => backends.database.host.state === 'ready',
    clock,
    random,
    backlogEnvelopesMax: config.intake.backlogEnvelopesMax,
    onRefused: metrics.onOverload,
    onState: (reason) =>
      reason === undefined
        ? log.info('intake is taken again')
        : log.warn({ reason }, 'intake is refused: more comes in than can be stored'),
  });
}
