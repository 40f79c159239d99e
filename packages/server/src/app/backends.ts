import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Ids } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Config } from '../config.ts';
import type { Database, PostgresHost } from '../database/database.ts';
import { openEmbeddedPostgres } from '../database/embedded.ts';
import { migrate } from '../database/migrate.ts';
import { openDatabase } from '../database/open-database.ts';
import { createPartitions, type Partitions } from '../database/partitions.ts';
import { openPostgresServer } from '../database/server.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openPostgresDoorbell } from '../doorbell/postgres.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';

/**
 * The one switch: a URL that is set chooses the part that many machines share, an empty one the part this machine has
 * to itself. Nobody else asks which it is. Each backend is opened once and shared; `close` closes them in reverse.
 */
export interface Backends {
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
export function openHost(config: Config, around: Surroundings): Promise<PostgresHost> {
  const { clock, ids, log, onProgress } = around;
  return config.database.url === ''
    ? openEmbeddedPostgres({ directory: config.data.directory, log, clock, ids, ...(onProgress && { onProgress }) })
    : openPostgresServer({ url: config.database.url, log, clock });
}

export async function openBackends(config: Config, around: Surroundings): Promise<Backends> {
  const { clock, log } = around;
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const closeOne of closers.splice(0).reverse()) await closeOne();
  };
  try {
    const host = await openHost(config, around);
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
    return { database, partitions, intakeLog, doorbell, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Two statements at once and one connection for partitions: what the mapper alone needs. */
const THREAD_POOL_SIZE_MAX = 4;

/** Connections of its own for a thread beside the one that opened `host`; its doorbell is heard in the thread only. */
export async function openThreadBackends(host: PostgresHost, log: Logger): Promise<Backends> {
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
