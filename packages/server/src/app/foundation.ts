import { type Cursors, createCursors } from '@gladhand/base/cursor.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { createSecrets, parseSecret, readSecretFile, type Secrets } from '../access/secrets.ts';
import type { Config } from '../config.ts';
import { type Epoch, openEpoch } from '../database/epoch.ts';
import { refuseChangedVersions } from '../products/freeze-versions.ts';
import { loadProducts, type Products } from '../products/products.ts';
import { type Backends, openBackends, type Surroundings, secretFile } from './backends.ts';
import type { Closers } from './closers.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { productDirectories } from './products-directory.ts';

/** What every room stands on. */
export interface Foundation {
  readonly products: Products;
  readonly secrets: Secrets;
  readonly cursors: Cursors;
  readonly backends: Backends;
  readonly metrics: Metrics;
  readonly epoch: Epoch;
}

/** Throws `StartRefusal` for what a server must not start with: a weak database, a product version that was changed. */
export async function openFoundation(config: Config, around: Surroundings, closers: Closers): Promise<Foundation> {
  const products = loadProducts(...productDirectories(config));
  const secrets = createSecrets(openSecret(config, around));
  const cursors = createCursors(secrets.derive('cursor/1'));
  const backends = await openBackends(config, around);
  closers.add(() => backends.close());
  requireDurability(config, backends);
  await refuseChangedVersions(backends.database, products);
  const metrics = createMetrics(backends);
  const epoch = await openEpoch({ ...around, database: backends.database, doorbell: backends.doorbell });
  closers.add(() => epoch.close());
  return { products, secrets, cursors, backends, metrics, epoch };
}

function openSecret(config: Config, around: Surroundings): Buffer {
  if (config.access.secret !== '') return parseSecret(config.access.secret, 'access.secret');
  return readSecretFile(secretFile(config), (length) => around.ids.randomBytes(length));
}

/** A 202 that a power cut could take back would be a lie. */
function requireDurability(config: Config, backends: Backends): void {
  const { database } = backends;
  if (database.durability === 'power-loss') return;
  const setting = 'intake.requirePowerLossDurability = false';
  if (config.intake.requirePowerLossDurability) {
    throw new StartRefusal(
      `PostgreSQL at ${database.host.place} would lose acknowledged data in a power cut: set fsync, full_page_writes and synchronous_commit to on, or accept the loss with ${setting}.`,
    );
  }
}
