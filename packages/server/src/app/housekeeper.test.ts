import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds, uuidFrom, uuidTimeMs } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from '../database/database.ts';
import { createPartitions, type Partitions } from '../database/partitions.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import { forgetUnclaimed } from '../processing/unclaimed-store.ts';
import { CLOCK_DIFFERENCE_MS_MAX, type HouseParts, keepHouse, openHousekeeper } from './housekeeper.ts';

const DAY_MS = 86_400_000;

const nowMs = Date.UTC(2026, 10, 23, 12);

function houseAt(databaseMs: number, world: { database: Database; partitions: Partitions }): HouseParts {
  return {
    intakeLog: openPostgresIntakeLog(world),
    partitions: world.partitions,
    clock: { ...systemClock, nowMs: () => nowMs },
    readDatabaseMs: async () => databaseMs,
    log: silentLogger,
    envelopeRetentionDays: 30,
    recordRetentionDays: 40,
    forget: [],
  };
}

async function partitionNames(database: Database): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where c.relkind = 'r' order by c.relname`.execute(database.owner);
  return rows.map(({ name }) => name);
}

test('what is past its retention goes by whole partitions, and nothing that is younger', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const ages = [0, 1, 29, 31, 32, 45].map((days) => nowMs - days * DAY_MS);
  for (const table of ['envelope', 'receipt', 'record'] as const) await partitions.ensure(table, ages);
  const forgotten: number[] = [];
  await keepHouse({
    ...houseAt(nowMs, { database, partitions }),
    forget: [async (atMs) => void forgotten.push(atMs), async (atMs) => void forgotten.push(atMs)],
  });
  const kept = await partitionNames(database);
  expect(kept.filter((name) => name.startsWith('envelope'))).toEqual([
    'envelope_20261025',
    'envelope_20261122',
    'envelope_20261123',
  ]);
  expect(kept.filter((name) => name.startsWith('receipt'))).toEqual([
    'receipt_20261025',
    'receipt_20261122',
    'receipt_20261123',
  ]);
  // 40 days ago was 14 October, in the week that ends on the 18th; 45 days ago a week that was over by then.
  expect(kept.filter((name) => name.startsWith('record'))).toEqual([
    'record_2026w43',
    'record_2026w47',
    'record_2026w48',
  ]);
  expect(forgotten).toEqual([nowMs, nowMs]);
});

test('nothing goes while the clocks of node and database differ, in whichever direction', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  await partitions.ensure('envelope', [nowMs - 45 * DAY_MS]);
  for (const differenceMs of [CLOCK_DIFFERENCE_MS_MAX + 1, -CLOCK_DIFFERENCE_MS_MAX - 1])
    await keepHouse(houseAt(nowMs + differenceMs, { database, partitions }));
  expect(await partitionNames(database)).toHaveLength(1);
  await keepHouse(houseAt(nowMs + CLOCK_DIFFERENCE_MS_MAX, { database, partitions }));
  expect(await partitionNames(database)).toHaveLength(0);
});

test('a day that the intake log refers to is kept, and what waits for a registration goes with its day', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const house = {
    ...houseAt(nowMs, { database, partitions }),
    forget: [(atMs: number) => forgetUnclaimed(database, atMs, 30)],
  };
  const ids = await Promise.all(
    [45, 44, 43].map(async (days) => {
      const id = uuidFrom(nowMs - days * DAY_MS, systemIds.randomBytes(16));
      const asset = { vin: '1UYVS2533P7204518' };
      const fixed = {
        organizationId: id,
        keyId: id,
        partnerId: 'p',
        product: 'traccar',
        asset,
        body: Buffer.from('{}'),
      };
      await house.intakeLog.append({ id, receivedAtMs: uuidTimeMs(id), ...fixed });
      return id;
    }),
  );
  const wait = (id: string) => ({
    asset_name: '1UYVS2533P7204518',
    envelope_id: id,
    organization_id: id,
    received_at: new Date(uuidTimeMs(id)),
  });
  const young = uuidFrom(nowMs - 29 * DAY_MS, systemIds.randomBytes(16));
  await database.owner
    .insertInto('unclaimed')
    .values([...ids, young].map(wait))
    .execute();
  const batch = await house.intakeLog.take({ envelopesMax: 10, bytesMax: 1e6 });
  const of = (id: string | undefined) => batch.envelopes.filter((envelope) => envelope.id === id);
  await batch.acknowledge(of(ids[0]));
  await batch.defer(of(ids[1]));
  await keepHouse(house);
  expect(await partitionNames(database)).toEqual(['envelope_20261010', 'envelope_20261011']);
  expect((await database.owner.selectFrom('unclaimed').selectAll().execute()).map((row) => row.envelope_id)).toEqual([
    young,
  ]);
  await house.intakeLog.resume(['traccar'], 0);
  const rest = await house.intakeLog.take({ envelopesMax: 10, bytesMax: 1e6 });
  expect(rest.envelopes.map(({ id }) => id).sort()).toEqual([ids[1], ids[2]].sort());
  await rest.acknowledge(rest.envelopes);
  await keepHouse(house);
  expect(await partitionNames(database)).toEqual([]);
});

test('of several nodes one keeps house, and another one when that one ends', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const rounds = [0, 0];
  const open = (node: number) => {
    const forget = [async () => void rounds[node]!++];
    const house = { ...houseAt(nowMs, { database, partitions }), clock: systemClock, forget };
    const housekeeper = openHousekeeper({ ...house, database, ids: systemIds });
    onTestFinished(() => housekeeper.close());
    return housekeeper;
  };
  const hasKept = (node: number) => vi.waitUntil(() => rounds[node]! > 0, { timeout: 30_000, interval: 20 });
  const first = open(0);
  await hasKept(0);
  open(1);
  const held = await database.owner.selectFrom('lease').select(['name', 'fence']).execute();
  expect([held, rounds]).toEqual([[{ name: 'housekeeper', fence: 1 }], [1, 0]]);
  await first.close();
  await hasKept(1);
  expect(rounds).toEqual([1, 1]);
});
