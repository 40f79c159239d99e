import { join } from 'node:path';
import { type Clock, holdProcess, sleep } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Config } from '../config.ts';
import type { Database, PostgresHost } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { openNodeClaim } from '../database/node-claim.ts';
import { openDatabase } from '../database/open-database.ts';
import { createPartitions, type Partitions } from '../database/partitions.ts';
import { openPostgresServer } from '../database/server.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openPostgresDoorbell } from '../doorbell/postgres.ts';
import { openEmbeddedPostgres } from '../embedded-postgres/embedded.ts';
import { FolderInUse, type HeldFor } from '../embedded-postgres/folder-lock.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import type { Limits } from '../limits/limits.ts';
import { createMemoryLimits } from '../limits/memory.ts';

/**
 * The one switch: a URL that is set chooses the part that many machines share, an empty one the part this machine has
 * to itself. Nobody else asks which it is. Each backend is opened once and shared; `close` closes them in reverse.
 */
export interface Backends extends ThreadBackends {
  readonly limits: Limits;
  /** Whether the limits are decided where all nodes share them right now; always true for a node that is alone. */
  readonly areLimitsShared: () => boolean;
  /** Decisions that this node made by its share of a limit so far, because what all nodes share was late or away. */
  readonly limitDecisionsByShare: () => number;
}

/** What a thread has for itself: nobody is limited there. */
export interface ThreadBackends {
  readonly database: Database;
  readonly partitions: Partitions;
  readonly intakeLog: IntakeLog;
  readonly doorbell: Doorbell;
  close(): Promise<void>;
}

export interface Surroundings {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** Told what is under way when it may take longer than a second. */
  readonly onProgress?: (message: string) => void;
}

/** Opens the PostgreSQL of this configuration, embedded or by URL, and nothing else. */
export function openHost(config: Config, around: Surroundings, heldFor: HeldFor): Promise<PostgresHost> {
  const { clock, ids, log, onProgress } = around;
  const { directory } = config.data;
  return config.database.url === ''
    ? openEmbeddedPostgres({ directory, heldFor, log, clock, ids, ...(onProgress && { onProgress }) })
    : openPostgresServer({ url: config.database.url, log, clock });
}

/** A command that has the data folder is waited for: it ends soon. */
async function openServerHost(config: Config, around: Surroundings): Promise<PostgresHost> {
  const { clock, onProgress = () => {} } = around;
  const release = holdProcess();
  const endMs = clock.monotonicMs() + COMMAND_MS_MAX;
  try {
    for (let isTold = false; ; isTold = true) {
      try {
        return await openHost(config, around, 'server');
      } catch (error) {
        const isPassing = error instanceof FolderInUse && error.heldFor === 'command' && clock.monotonicMs() < endMs;
        if (!isPassing) throw error;
        if (!isTold) onProgress('Waiting for a command that has the data folder');
        await sleep(clock, COMMAND_POLL_MS);
      }
    }
  } finally {
    release();
  }
}

const COMMAND_MS_MAX = 60_000;
const COMMAND_POLL_MS = 100;

export async function openBackends(config: Config, around: Surroundings): Promise<Backends> {
  const { clock, log } = around;
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const closeOne of closers.splice(0).reverse()) await closeOne();
  };
  try {
    const host = await openServerHost(config, around);
    closers.push(() => host.close());
    const database = await openDatabase(host, {
      poolSizeMax: config.database.poolSizeMax,
      log,
      applicationName: 'gladhand',
    });
    closers.push(() => database.close());
    await migrate(database, log);
    const doorbell =
      config.database.url === ''
        ? createLocalDoorbell()
        : await openPostgresDoorbell({ database, clock, log, nodeId: around.ids.uuid() });
    closers.push(() => doorbell.close());
    const partitions = createPartitions(database);
    const intakeLog = openPostgresIntakeLog({ database, partitions });
    closers.push(() => intakeLog.close());
    if (config.database.url !== '') closers.push(await claimNodes(config, around, database));
    let areShared = true;
    let byShare = 0;
    const limits =
      config.limits.redisUrl === ''
        ? createMemoryLimits({ clock })
        : await (await import('../limits/redis.ts')).openRedisLimits({
            url: config.limits.redisUrl,
            decisionMsMax: config.limits.redisWaitMsMax,
            nodeId: around.ids.uuid(),
            clock,
            log,
            onReach: (isShared) => {
              areShared = isShared;
            },
            onShare: () => {
              byShare += 1;
            },
          });
    closers.push(() => limits.close());
    const limitState = { areLimitsShared: () => areShared, limitDecisionsByShare: () => byShare };
    return { database, partitions, intakeLog, doorbell, limits, ...limitState, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A node that counts limits for itself has to be alone, or every node would grant the whole of each limit. */
async function claimNodes(config: Config, around: Surroundings, database: Database): Promise<() => Promise<void>> {
  const { redisUrl, perNode } = config.limits;
  const claim = redisUrl === '' && !perNode ? 'sole' : 'shared';
  const claimed = await openNodeClaim({ database, clock: around.clock, log: around.log, claim });
  if (claimed !== undefined) return () => claimed.close();
  const { place } = database.host;
  throw new StartRefusal(
    claim === 'sole'
      ? `Another node uses the database at ${place}, and this one would count limits for itself: everybody could use each limit once per node. Set limits.redisUrl (GLADHAND_LIMITS_REDIS_URL) to a Redis that all nodes share, on each of them, or accept it with limits.perNode = true on each of them.`
      : `Another node uses the database at ${place} and counts limits for itself, as if it were alone. Set limits.redisUrl (GLADHAND_LIMITS_REDIS_URL), or limits.perNode = true, on that node too, and start it again.`,
  );
}

/** Two statements at once and one connection for partitions: what the mapper alone needs. */
const THREAD_POOL_SIZE_MAX = 4;

/** Connections of its own for a thread beside the one that opened `host`; its doorbell is heard in the thread only. */
export async function openThreadBackends(host: PostgresHost, log: Logger): Promise<ThreadBackends> {
  const database = await openDatabase(host, {
    poolSizeMax: THREAD_POOL_SIZE_MAX,
    log,
    applicationName: 'gladhand mapper',
  });
  const partitions = createPartitions(database);
  const intakeLog = openPostgresIntakeLog({ database, partitions });
  const doorbell = createLocalDoorbell();
  return {
    database,
    partitions,
    intakeLog,
    doorbell,
    async close() {
      await doorbell.close();
      await intakeLog.close();
      await database.close();
    },
  };
}

export function secretFile(config: Config): string {
  return join(config.data.directory, 'secret');
}
