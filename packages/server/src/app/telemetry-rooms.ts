import { forgetNonces } from '../access/nonce-store.ts';
import type { Config } from '../config.ts';
import { createIntake, type Intake } from '../intake/accept.ts';
import { forgetSessions } from '../people/sessions.ts';
import { forgetUsage } from '../plans/usage.ts';
import { type Mapper, openMapper } from '../processing/mapper.ts';
import { forgetArrivals, forgetLeafPaths } from '../processing/store.ts';
import { forgetUnclaimed } from '../processing/unclaimed-store.ts';
import { createRegistry, type Registry } from '../registry/registry.ts';
import { createTelemetryReader, type TelemetryReader } from '../telemetry/read.ts';
import type { Surroundings } from './backends.ts';
import type { Closers } from './closers.ts';
import type { Foundation } from './foundation.ts';
import { openHousekeeper } from './housekeeper.ts';
import { openMapperThread } from './mapper-thread.ts';

/** The way of the data: taken in, mapped, kept, read. */
export interface TelemetryRooms {
  readonly intake: Intake;
  readonly registry: Registry;
  readonly reader: TelemetryReader;
}

export function openTelemetryRooms(
  config: Config,
  around: Surroundings,
  foundation: Foundation,
  closers: Closers,
): TelemetryRooms {
  const { products, backends } = foundation;
  const { database, intakeLog, doorbell } = backends;
  const intake = createIntake({
    log: intakeLog,
    ids: around.ids,
    findProduct: (name) => products.find(name),
    onAccepted: () => doorbell.ring('intake'),
  });
  const mapper = openTheMapper(config, around, foundation);
  closers.add(() => mapper.close());
  const registry = createRegistry({ database });
  const reader = createTelemetryReader(database);
  const housekeeper = openHousekeeping(config, around, foundation);
  closers.add(() => housekeeper.close());
  return { intake, registry, reader };
}

/** On a thread of its own (decision 0009), or in this one. */
function openTheMapper(config: Config, around: Surroundings, { products, backends, metrics }: Foundation): Mapper {
  const { database, partitions, intakeLog, doorbell } = backends;
  const { onSettled } = metrics;
  return config.mapping.ownThread
    ? openMapperThread({ ...around, config, host: database.host, doorbell, onSettled })
    : openMapper({ ...around, database, intakeLog, partitions, products, doorbell, onSettled });
}

function openHousekeeping(config: Config, around: Surroundings, { backends }: Foundation) {
  const { database, intakeLog, partitions } = backends;
  return openHousekeeper({
    ...around,
    ...config.intake,
    ...config.telemetry,
    database,
    intakeLog,
    partitions,
    forget: [
      (nowMs) => forgetSessions(database, nowMs),
      (nowMs) => forgetNonces(database, new Date(nowMs)),
      (nowMs) => forgetUsage(database, nowMs),
      (nowMs) => forgetArrivals(database, nowMs),
      (nowMs) => forgetLeafPaths(database, nowMs, config.intake.envelopeRetentionDays),
      (nowMs) => forgetUnclaimed(database, nowMs, config.intake.envelopeRetentionDays),
    ],
  });
}
