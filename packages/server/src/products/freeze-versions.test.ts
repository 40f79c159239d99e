import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds, uuidTimeMs } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { gateMapping, gateProduct, makeProductsFolder } from '../../test/product-folder.ts';
import type { Database } from '../database/database.ts';
import { createPartitions } from '../database/partitions.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import { openMapper } from '../processing/mapper.ts';
import { createVersionFreeze, refuseChangedVersions, VersionChanged } from './freeze-versions.ts';
import { loadProducts, type Products } from './products.ts';

const AT_MS = Date.UTC(2026, 10, 23, 7, 46);

/** The product `gate`: the files as they are now, read anew by each call of `load`. */
function makeGate() {
  const folder = makeProductsFolder();
  const write = (states: readonly string[], ...units: readonly string[]) => {
    folder.write('gate/product.yaml', gateProduct('gate', ...states));
    for (const [at, unit] of units.entries()) folder.write(`gate/mapping-${at + 1}.yaml`, gateMapping(unit));
  };
  return { ...folder, writeVersions: write, load: () => loadProducts(folder.directory) };
}

const freeze = (database: Database, products: Products, mappingVersion: number | null) =>
  database.system
    .transaction()
    .execute((trx) => createVersionFreeze(products)(trx, [{ envelope: { product: 'gate' }, mappingVersion }], AT_MS));

test('a version that has mapped anything is refused at start once its file has changed, with what to do instead', async () => {
  const database = await openTestDatabase();
  const gate = makeGate();
  gate.writeVersions(['live', 'draft'], '[mi_i]/h', 'km/h');
  await freeze(database, gate.load(), null);
  gate.writeVersions(['live', 'draft'], 'm/s', 'km/h');
  // Nothing was mapped so far.
  await refuseChangedVersions(database, gate.load());
  await freeze(database, gate.load(), 1);
  await refuseChangedVersions(database, gate.load());
  // What has mapped nothing may change: a draft, and what is written beside the meaning.
  gate.writeVersions(['live', 'draft'], 'm/s', '[kn_i]');
  gate.write('gate/mapping-1.yaml', `# A comment\n${gateMapping('m/s')}description: the same\n`);
  await refuseChangedVersions(database, gate.load());
  gate.writeVersions(['live', 'draft'], '[mi_i]/h', 'km/h');
  await expect(refuseChangedVersions(database, gate.load())).rejects.toThrow(
    new VersionChanged([
      '  gate/mapping-1.yaml (or `decode` in gate/product.yaml) is not what it was when it mapped its first payload, at 2026-11-23T07:46:00.000Z. Restore it. To change what gate means, write mapping-3.yaml, and in product.yaml make version 3 live and 1 retired.',
    ]),
  );
  // The remedy: the old file as it was, and the change under the next number. Also a retired version stays what it was.
  gate.writeVersions(['retired', 'live'], 'm/s', '[mi_i]/h');
  await refuseChangedVersions(database, gate.load());
  gate.writeVersions(['retired', 'live'], 'm', '[mi_i]/h');
  await expect(refuseChangedVersions(database, gate.load())).rejects.toThrow('gate/mapping-1.yaml');
});

test('of several nodes that map a version first with different files, one is right and the others are told', async () => {
  const database = await openTestDatabase();
  const gate = makeGate();
  const nodes = ['m/s', 'km/h', '[mi_i]/h', '[kn_i]'].map((unit) => {
    gate.writeVersions(['live'], unit);
    return gate.load();
  });
  const outcomes = await Promise.allSettled(nodes.map((products) => freeze(database, products, 1)));
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  expect(refused).toHaveLength(3);
  for (const reason of refused) expect(reason).toBeInstanceOf(VersionChanged);
});

test('a version is frozen by what is committed, and then costs no statement', async () => {
  const database = await openTestDatabase();
  const gate = makeGate();
  gate.writeVersions(['live'], 'm/s');
  const hold = createVersionFreeze(gate.load());
  const mapped = [{ envelope: { product: 'gate' }, mappingVersion: 1 }];
  const count = async () => (await database.owner.selectFrom('product_version').selectAll().execute()).length;
  const undone = database.system.transaction().execute(async (trx) => {
    await hold(trx, mapped, AT_MS);
    throw new Error('undone');
  });
  await expect(undone).rejects.toThrow('undone');
  expect(await count()).toBe(0);
  for (let turn = 0; turn < 2; turn += 1)
    await database.system.transaction().execute((trx) => hold(trx, mapped, AT_MS));
  expect(await count()).toBe(1);
  await database.owner.deleteFrom('product_version').execute();
  await database.system.transaction().execute((trx) => hold(trx, mapped, AT_MS));
  expect(await count()).toBe(0);
});

test('a mapper whose file has changed stores nothing and leaves mapping to a node that has the right one', async () => {
  const database = await openTestDatabase();
  const gate = makeGate();
  gate.writeVersions(['live'], 'm/s');
  const right = gate.load();
  await freeze(database, right, 1);
  gate.writeVersions(['live'], 'km/h');
  const changed = gate.load();
  const partitions = createPartitions(database);
  const intakeLog = openPostgresIntakeLog({ database, partitions });
  const id = systemIds.uuid();
  const owner = { organizationId: systemIds.uuid(), keyId: systemIds.uuid(), partnerId: 'acme' };
  const body = Buffer.from(JSON.stringify({ t: Math.floor(uuidTimeMs(id) / 1000), mph: 1 }));
  const asset = { vin: '1UYVS2533P7204518' };
  await intakeLog.append({ id, receivedAtMs: uuidTimeMs(id), body, product: 'gate', asset, ...owner });
  const start = (products: Products, said: string[] = []) => {
    const error = (fields: { err: Error }, message: string) => said.push(`${message}: ${fields.err.message}`);
    const mapper = openMapper({
      database,
      intakeLog,
      partitions,
      products,
      clock: systemClock,
      ids: systemIds,
      doorbell: createLocalDoorbell(),
      log: { ...silentLogger, error } as unknown as typeof silentLogger,
    });
    onTestFinished(() => mapper.close());
  };
  const said: string[] = [];
  start(changed, said);
  await vi.waitUntil(() => said.length > 0, { timeout: 30_000, interval: 20 });
  expect(said[0]).toContain('maps nothing more until its products are repaired');
  expect(said[0]).toContain('write mapping-2.yaml');
  expect(await intakeLog.backlog(1)).toBe(1);
  start(right);
  await vi.waitUntil(async () => (await intakeLog.backlog(1)) === 0, { timeout: 30_000, interval: 20 });
  expect(said).toHaveLength(1);
  const [receipt] = await database.owner.selectFrom('receipt').select(['status', 'mapping_version']).execute();
  expect(receipt).toEqual({ status: 'unclaimed', mapping_version: 1 });
});
