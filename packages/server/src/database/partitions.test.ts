import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from './database.ts';
import { createPartitions, isMissingPartition } from './partitions.ts';

const DAY_MS = 86_400_000;

async function partitionNames(database: Database): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select inhrelid::regclass::text as name from pg_inherits join pg_class on oid = inhrelid and relkind = 'r' order by 1`.execute(
    database.owner,
  );
  return rows.map(({ name }) => name);
}

function envelopeAt(atMs: number) {
  const id = '0198a3c0-0000-7000-8000-000000000001';
  return {
    id,
    received_at: new Date(atMs),
    organization_id: id,
    key_id: id,
    partner_id: 'partner',
    product: 'deliversafe',
    vin: '1M8GDM9AXKP042788',
    plant_id: null,
    body: Buffer.from('{}'),
  };
}

test('envelopes are kept by UTC day and records by ISO week, each named after its time', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  await partitions.ensure('envelope', [Date.UTC(2026, 10, 23), Date.UTC(2026, 10, 23, 23, 59, 59, 999)]);
  await partitions.ensure('receipt', [Date.UTC(2026, 10, 24)]);
  // The last three are weeks of other years than their days: ISO weeks belong to the year of their Thursday.
  await partitions.ensure('record', [
    Date.UTC(2026, 10, 22, 23, 59),
    Date.UTC(2026, 10, 23),
    Date.UTC(2027, 0, 3),
    Date.UTC(2024, 11, 30),
    Date.UTC(1969, 11, 31),
  ]);
  expect(await partitionNames(database)).toEqual([
    'envelope_20261123',
    'receipt_20261124',
    'record_1970w01',
    'record_2025w01',
    'record_2026w47',
    'record_2026w48',
    'record_2026w53',
  ]);
});

test('a partition takes every instant of its span and no other', async () => {
  const database = await openTestDatabase();
  const dayMs = Date.UTC(2026, 10, 23);
  await createPartitions(database).ensure('envelope', [dayMs]);
  await database.owner.insertInto('envelope').values(envelopeAt(dayMs)).execute();
  await database.owner
    .insertInto('envelope')
    .values(envelopeAt(dayMs + DAY_MS - 1))
    .execute();
  for (const outsideMs of [dayMs - 1, dayMs + DAY_MS]) {
    const refused = await database.owner.insertInto('envelope').values(envelopeAt(outsideMs)).execute().catch(String);
    expect(refused).toMatch(/no partition of relation/);
  }
});

test('a partition has the keys, checks and indexes of its table', async () => {
  const database = await openTestDatabase();
  await createPartitions(database).ensure('record', [Date.UTC(2026, 10, 23)]);
  const { rows } = await sql<{ parent: string }>`
    select inhparent::regclass::text as parent from pg_inherits join pg_class on oid = inhrelid and relkind = 'i' order by 1`.execute(
    database.owner,
  );
  expect(rows.map(({ parent }) => parent)).toEqual([
    'record_device',
    'record_gps',
    'record_pkey',
    'record_position',
    'record_tail',
  ]);
});

test('many nodes that want the same partitions at once all get them', async () => {
  const database = await openTestDatabase({ poolSizeMax: 8 });
  const days = Array.from({ length: 10 }, (_, day) => Date.UTC(2026, 10, 1 + day));
  const nodes = Array.from({ length: 8 }, () => createPartitions(database));
  await Promise.all(nodes.map((node) => node.ensure('envelope', days)));
  expect(await partitionNames(database)).toHaveLength(10);
});

test('a new partition is made while others read and write the table', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const dayMs = Date.UTC(2026, 10, 23);
  await partitions.ensure('envelope', [dayMs]);
  await database.owner.transaction().execute(async (transaction) => {
    await transaction.insertInto('envelope').values(envelopeAt(dayMs)).execute();
    await transaction.selectFrom('envelope').selectAll().execute();
    await partitions.ensure('envelope', [dayMs + DAY_MS]);
  });
  expect(await partitionNames(database)).toEqual(['envelope_20261123', 'envelope_20261124']);
});

test('retention retires whole partitions that have aged out, oldest first, and keeps the one it falls into', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const days = [20, 21, 22, 23].map((day) => Date.UTC(2026, 10, day));
  await partitions.ensure('envelope', days);
  expect(await partitions.retireBefore('envelope', Date.UTC(2026, 10, 22, 12))).toEqual([
    'envelope_20261120',
    'envelope_20261121',
  ]);
  expect(await partitionNames(database)).toEqual(['envelope_20261122', 'envelope_20261123']);
  await partitions.ensure('envelope', days);
  expect(await partitionNames(database)).toHaveLength(4);
});

test('a partition that is being read is left for the next time', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  await partitions.ensure('envelope', [Date.UTC(2026, 10, 20)]);
  await database.owner.transaction().execute(async (reader) => {
    await reader.selectFrom('envelope').selectAll().execute();
    expect(await partitions.retireBefore('envelope', Date.UTC(2026, 10, 23))).toEqual([]);
  });
  expect(await partitions.retireBefore('envelope', Date.UTC(2026, 10, 23))).toEqual(['envelope_20261120']);
});

test('a partition another node has dropped is noticed at the insert and made again', async () => {
  const database = await openTestDatabase();
  const [here, there] = [createPartitions(database), createPartitions(database)];
  const dayMs = Date.UTC(2026, 10, 20);
  await here.ensure('envelope', [dayMs]);
  await there.retireBefore('envelope', dayMs + DAY_MS);
  await here.ensure('envelope', [dayMs]);
  const insert = () => database.owner.insertInto('envelope').values(envelopeAt(dayMs)).execute();
  const refused = await insert().catch((error: unknown) => error);
  expect(isMissingPartition(refused)).toBe(true);
  here.forget('envelope');
  await here.ensure('envelope', [dayMs]);
  await insert();
});

test('a partition that was retired keeps its rows for a day, and comes back with them when it is needed', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const dayMs = Date.UTC(2026, 10, 20);
  const age = () =>
    sql`update retired_partition set retired_at = retired_at - interval '1 day'`.execute(database.owner);
  const count = async () => (await database.owner.selectFrom('envelope').select('id').execute()).length;
  const retire = () => partitions.retireBefore('envelope', dayMs + DAY_MS);
  await partitions.ensure('envelope', [dayMs, dayMs + DAY_MS]);
  await database.owner.insertInto('envelope').values(envelopeAt(dayMs)).execute();
  await retire();
  expect([await count(), await partitions.dropRetired()]).toEqual([0, []]);
  await partitions.ensure('envelope', [dayMs]);
  expect(await count()).toBe(1);
  // Its retention is over all the same: what comes late does not make its rows stay.
  await age();
  expect(await partitions.dropRetired()).toEqual([]);
  expect(await retire()).toEqual(['envelope_20261120']);
  expect(await partitions.dropRetired()).toEqual(['envelope_20261120']);
  await partitions.ensure('envelope', [dayMs]);
  expect([await count(), await partitionNames(database)]).toEqual([0, ['envelope_20261120', 'envelope_20261121']]);
});

test('a partition whose retention became longer is no longer marked for dropping', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const dayMs = Date.UTC(2026, 10, 20);
  await partitions.ensure('envelope', [dayMs]);
  await partitions.retireBefore('envelope', dayMs + DAY_MS);
  await partitions.ensure('envelope', [dayMs]);
  await partitions.retireBefore('envelope', dayMs);
  expect(await database.owner.selectFrom('retired_partition').selectAll().execute()).toEqual([]);
});
