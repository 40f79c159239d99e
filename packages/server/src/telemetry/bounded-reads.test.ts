import { sql } from 'kysely';
import { beforeAll, describe, expect, test } from 'vitest';
import { insertOrganization } from '../../test/customer-api.ts';
import { openTestDatabase } from '../../test/database.ts';
import { countRowsRead, countSoFar } from '../../test/rows-read.ts';
import { EXAMINED_ROWS_MAX } from '../database/bounded-page.ts';
import type { Database } from '../database/database.ts';
import { createPartitions } from '../database/partitions.ts';
import { createTelemetryReader, type FeedRequest, type TelemetryReader } from './read.ts';
import { signalGroupBits } from './signal-groups.ts';

/**
 * How much a page reads, counted by PostgreSQL: rows, not time. The store has records of three organizations in forty
 * partitions, nearly all of which every filter here leaves out. Where statistics are older than most of the records,
 * the planner takes what is left of a walk for a handful of rows.
 */
const START_MS = Date.UTC(2026, 2, 2);
const WEEK_MS = 7 * 86_400_000;
const PARTITIONS = 40;
const RECORDS = 24_000;
/** Those of them that are in any partition, and that old statistics know of. */
const EARLY = 240;
const EXAMINED_MAX = 500;
const TAKE = 20;
/** Merging partitions reads one row of each ahead; and one more tells that a page is full. */
const AHEAD = PARTITIONS + 2;

const uuid = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const [fleet, quietFleet] = [uuid(1), uuid(2)];
const [trailer, parked, elsewhere] = [uuid(3), uuid(4), uuid(5)];
const [hiddenPlant, seenPlant, meter] = [uuid(6), uuid(7), uuid(8)];

interface Store {
  readonly database: Database;
  /** Has most of the records, none of them with a fix. */
  readonly loud: string;
  /** Has one in 600. */
  readonly quiet: string;
  /** Has plants, of which nearly all records are of the hidden one. */
  readonly solar: string;
}

/** Records at the next positions: few in every partition, then many in the newest ones. */
async function fill(database: Database, { loud, quiet, solar }: Omit<Store, 'database'>, first: number, last: number) {
  const bits = (...groups: string[]) => sql.lit(signalGroupBits(groups));
  await sql`
    with sequencer as (update telemetry_position set value = value + ${last - first + 1})
    insert into record (id, asset_id, observed_at, organization_id, fleet_id, asset_kind, device_id, received_at,
      processed_at, product, mapping_version, receipt_id, position, signal_groups, signals)
    select gen_random_uuid(),
      case when i % 600 = 0 then ${elsewhere}::uuid when i % 600 = 1 then ${parked} when i % 6 < 4 then ${trailer} when i % 3000 = 5 then ${seenPlant} else ${hiddenPlant} end,
      ${new Date(START_MS)}::timestamptz + case when i <= ${EARLY} then i % ${PARTITIONS} else ${PARTITIONS - 1} - i % 3 end * interval '1 week' + i * interval '1 second',
      case when i % 600 = 0 then ${quiet}::uuid when i % 6 < 4 then ${loud} else ${solar} end,
      case when i % 6000 = 5997 then ${quietFleet}::uuid else ${fleet} end,
      case when i % 6 < 4 then 'trailer' else 'plant' end, case when i % 6 >= 4 then ${meter}::uuid end, now(), now(), 'traccar', 1, gen_random_uuid(), i,
      case when i % 6000 = 5990 then ${bits('coupling', 'motion')} else ${bits('motion')} end, '{"motion":{"moving":true}}'
    from generate_series(${first}::int, ${last}) i`.execute(database.owner);
}

type Statistics = 'fresh' | 'missing' | 'stale';

async function openStore(statistics: Statistics): Promise<Store> {
  const database = await openTestDatabase();
  const [loud, quiet, solar] = [
    await insertOrganization(database, 'loud'),
    await insertOrganization(database, 'quiet'),
    await insertOrganization(database, 'solar'),
  ];
  const weeks = Array.from({ length: PARTITIONS }, (_, week) => START_MS + week * WEEK_MS);
  await createPartitions(database).ensure('record', weeks);
  const { rows } = await sql<{ name: string }>`
    select inhrelid::regclass::text as name from pg_inherits where inhparent = 'record'::regclass`.execute(
    database.owner,
  );
  expect(rows).toHaveLength(PARTITIONS);
  for (const { name } of rows) {
    await sql`alter table ${sql.table(name)} set (autovacuum_enabled = false)`.execute(database.owner);
  }
  const owners = { loud, quiet, solar };
  await fill(database, owners, 1, EARLY);
  if (statistics === 'stale') await sql`analyze record`.execute(database.owner);
  await fill(database, owners, EARLY + 1, RECORDS);
  if (statistics === 'fresh') await sql`analyze record`.execute(database.owner);
  return { database, ...owners };
}

describe.each<Statistics>(['fresh', 'missing', 'stale'])('with statistics that are %s', (statistics) => {
  let store: Store;
  let counted: ReturnType<typeof countRowsRead>;
  let reader: TelemetryReader;

  beforeAll(async () => {
    store = await openStore(statistics);
    counted = countRowsRead(store.database);
    reader = createTelemetryReader(counted.database, EXAMINED_MAX);
  });

  /** Walks to the end and tells what every page read and what all of them gave. */
  async function walkFeed(filter: Omit<FeedRequest, 'afterPosition' | 'take'>, afterPosition = 0) {
    counted.rowsRead.length = 0;
    const positions: number[] = [];
    for (let after = afterPosition; ; ) {
      const page = await reader.feed({ ...filter, afterPosition: after, take: TAKE });
      positions.push(...page.rows.map(({ position }) => position));
      if (page.isCaughtUp) return { positions, rowsRead: [...counted.rowsRead], through: page.through };
      expect(page.through).toBeGreaterThan(after);
      after = page.through;
    }
  }

  test.for<[string, (store: Store) => Omit<FeedRequest, 'afterPosition' | 'take'>, string]>([
    [
      'signals that few records have',
      ({ loud }) => ({ organizationId: loud, signalGroups: signalGroupBits(['coupling']) }),
      'i % 6000 = 5990',
    ],
    ['a quiet fleet', ({ loud }) => ({ organizationId: loud, fleetIds: [quietFleet] }), 'i % 6000 = 5997'],
    ['an asset that seldom reports', ({ loud }) => ({ organizationId: loud, assetIds: [parked] }), 'i % 600 = 1'],
    ['a quiet organization', ({ quiet }) => ({ organizationId: quiet }), 'i % 600 = 0'],
    [
      'a quiet organization and signals that none of its records has',
      ({ quiet }) => ({ organizationId: quiet, signalGroups: signalGroupBits(['tires']) }),
      'false',
    ],
    [
      'a key restricted to one plant of many',
      ({ solar }) => ({ organizationId: solar, plantIds: new Set([seenPlant]) }),
      'i % 3000 = 5',
    ],
    ['a key that may see no plant', ({ solar }) => ({ organizationId: solar, plantIds: new Set<string>() }), 'false'],
  ])('a feed page examines a bounded number of records behind %s', async ([, filterOf, passes]) => {
    const { rows } = await sql<{ i: number }>`
      select i from generate_series(1, ${RECORDS}::int) i where ${sql.raw(passes)} order by i`.execute(
      store.database.owner,
    );
    const expected = rows.map(({ i }) => i);
    const filter = filterOf(store);
    for (const after of [0, RECORDS / 2, RECORDS - 100]) {
      const walked = await walkFeed(filter, after);
      expect(walked.positions).toEqual(expected.filter((position) => position > after));
      expect(Math.max(...walked.rowsRead)).toBeLessThanOrEqual(EXAMINED_MAX + AHEAD);
      expect(walked.through).toBe(RECORDS);
    }
    // Nothing is new: not even one record is looked at.
    expect((await walkFeed(filter, RECORDS)).rowsRead).toEqual([1]);
  });

  test('a feed page without a filter reads no more than it gives', async () => {
    const { loud } = store;
    for (const after of [0, RECORDS / 2]) {
      counted.rowsRead.length = 0;
      const page = await reader.feed({ organizationId: loud, afterPosition: after, take: TAKE });
      expect(page.rows).toHaveLength(TAKE);
      expect(counted.rowsRead[0]).toBeLessThanOrEqual(TAKE + AHEAD);
    }
  });

  test('the tail of several organizations examines a bounded number of records, and gives all of theirs in order', async () => {
    const { quiet, solar } = store;
    const organizationIds = [quiet, solar];
    const got: number[] = [];
    await store.database.newest.transaction().execute(async (newest) => {
      const tailing = createTelemetryReader({ ...store.database, newest }, EXAMINED_MAX);
      for (let [after, isCaughtUp] = [0, false]; !isCaughtUp; ) {
        const before = await countSoFar(newest);
        const page = await tailing.tail({ organizationIds, afterPosition: after, take: RECORDS });
        expect((await countSoFar(newest)) - before).toBeLessThanOrEqual(EXAMINED_MAX + AHEAD);
        expect(page.rows.map(({ organizationId }) => organizationId)).not.toContain(store.loud);
        got.push(...page.rows.map(({ position }) => position));
        expect(page.through).toBe(Math.min(after + EXAMINED_MAX, RECORDS));
        [after, isCaughtUp] = [page.through, page.isCaughtUp];
      }
      const cut = await tailing.tail({ organizationIds, afterPosition: 0, take: 7 });
      expect(cut).toMatchObject({ through: cut.rows[6]!.position, isCaughtUp: false });
    });
    expect(got).toEqual(Array.from({ length: RECORDS }, (_, n) => n + 1).filter((i) => i % 600 === 0 || i % 6 >= 4));
  });

  test('the positions of an asset without a fix cost nothing, however much it reports', async () => {
    for (const order of ['asc', 'desc'] as const) {
      counted.rowsRead.length = 0;
      const range = { fromMs: null, toMs: null, after: null };
      const of = { assetId: trailer };
      const page = { organizationId: store.loud, of, gpsOnly: true, order, ...range, take: TAKE };
      expect(await reader.byTime(page)).toMatchObject({ count: 0, after: null });
      expect(counted.rowsRead).toEqual([0]);
    }
  });

  test('a time page reads no more than it gives, and a bounded number where a key may not see the plant', async () => {
    const { loud, solar } = store;
    const request = { gpsOnly: false, fromMs: null, toMs: null, after: null, order: 'desc', take: TAKE } as const;
    counted.rowsRead.length = 0;
    const ofAsset = await reader.byTime({ ...request, organizationId: loud, of: { assetId: trailer } });
    expect(ofAsset.count).toBe(TAKE);
    expect(counted.rowsRead[0]).toBeLessThanOrEqual(TAKE + AHEAD);

    let after: { observedAtMs: number; id: string } | null = null;
    let count = 0;
    counted.rowsRead.length = 0;
    const plantIds = new Set([seenPlant]);
    do {
      const ofDevice = { ...request, organizationId: solar, of: { deviceId: meter }, plantIds, after };
      const page = await reader.byTime(ofDevice);
      count += page.count;
      after = page.after;
    } while (after !== null);
    expect(count).toBe(RECORDS / 3_000);
    expect(Math.max(...counted.rowsRead)).toBeLessThanOrEqual(EXAMINED_MAX + AHEAD);
    expect(counted.rowsRead.length).toBeGreaterThan(5);
  });

  test('the count of rows tells a page without a bound', async () => {
    const unbounded = createTelemetryReader(counted.database, Number.MAX_SAFE_INTEGER);
    counted.rowsRead.length = 0;
    await unbounded.feed({ organizationId: store.loud, afterPosition: 0, take: TAKE, fleetIds: [uuid(99)] });
    expect(counted.rowsRead[0]).toBeGreaterThan(RECORDS / 2);
  });

  test(`left to itself, a page examines ${EXAMINED_ROWS_MAX} records at most`, async () => {
    counted.rowsRead.length = 0;
    const byDefault = createTelemetryReader(counted.database);
    const page = await byDefault.feed({
      organizationId: store.loud,
      afterPosition: 0,
      take: TAKE,
      fleetIds: [uuid(99)],
    });
    expect(page).toMatchObject({ rows: [], isCaughtUp: false });
    expect(counted.rowsRead[0]).toBeLessThanOrEqual(EXAMINED_ROWS_MAX + AHEAD);
  });
});
