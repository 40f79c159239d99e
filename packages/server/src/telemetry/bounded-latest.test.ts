import { sql } from 'kysely';
import { beforeAll, describe, expect, test } from 'vitest';
import { insertOrganization } from '../../test/customer-api.ts';
import { openTestDatabase } from '../../test/database.ts';
import { countRowsRead } from '../../test/rows-read.ts';
import type { Database } from '../database/database.ts';
import { createTelemetryReader, type LatestRequest, type TelemetryReader } from './read.ts';

/** How much a page of latest values reads where nearly all assets never reported, or are plants a key may not see. */
const ASSETS = 3_000;
const QUIET_FLEET_ASSETS = 5;
const EXAMINED_MAX = 200;
const TAKE = 20;
/** An entry of the index of assets and one of the index of values, for each asset and one ahead. */
const ROWS_MAX = 2 * (EXAMINED_MAX + 1);

const uuid = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const [fleet, quietFleet] = [uuid(900_001), uuid(900_002)];

interface Organizations {
  readonly loud: string;
  readonly solar: string;
}

/** Ids rise with i: `loud` has trailers, `solar` has plants that all reported, both in turns. */
async function fill(database: Database, { loud, solar }: Organizations): Promise<void> {
  await sql`
    insert into fleet (id, organization_id, name, created_at, updated_at)
    values (${fleet}, ${loud}, 'big', now(), now()), (${quietFleet}, ${loud}, 'small', now(), now())`.execute(
    database.owner,
  );
  await sql`
    insert into asset (id, organization_id, kind, fleet_id, vin, vin_check, name, created_at, updated_at)
    select ('01900000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, case when i % 2 = 0 then ${loud}::uuid else ${solar} end,
      case when i % 2 = 0 then 'trailer' else 'plant' end,
      case when i % 2 = 0 then case when i > ${2 * (ASSETS - QUIET_FLEET_ASSETS)} then ${quietFleet}::uuid else ${fleet} end end,
      case when i % 2 = 0 then '1GHD' || lpad(i::text, 13, '0') end, case when i % 2 = 0 then 'pass' end, 'A', now(), now()
    from generate_series(1, ${2 * ASSETS}::int) i`.execute(database.owner);
  await sql`
    insert into latest (asset_id, signal_group, organization_id, metrics, is_capped)
    select id, 'gps', organization_id, '{"gps.hdop":{}}', false from asset where kind = 'plant' or fleet_id = ${quietFleet}`.execute(
    database.owner,
  );
}

describe.each(['fresh', 'missing'])('with statistics that are %s', (statistics) => {
  let organizations: Organizations;
  let counted: ReturnType<typeof countRowsRead>;
  let reader: TelemetryReader;

  beforeAll(async () => {
    const database = await openTestDatabase();
    organizations = {
      loud: await insertOrganization(database, 'loud'),
      solar: await insertOrganization(database, 'solar'),
    };
    for (const table of ['asset', 'latest']) {
      await sql`alter table ${sql.table(table)} set (autovacuum_enabled = false)`.execute(database.owner);
    }
    await fill(database, organizations);
    if (statistics === 'fresh') await sql`analyze asset, latest`.execute(database.owner);
    counted = countRowsRead(database);
    reader = createTelemetryReader(counted.database, EXAMINED_MAX);
  });

  async function walk(request: Omit<LatestRequest, 'afterAssetId' | 'take'>, by = reader) {
    counted.rowsRead.length = 0;
    const assetIds: string[] = [];
    let afterAssetId: string | null = null;
    do {
      const page = await by.latest({ ...request, afterAssetId, take: TAKE });
      assetIds.push(...page.rows.map((row) => row.assetId));
      afterAssetId = page.afterAssetId;
    } while (afterAssetId !== null);
    return { assetIds, rowsRead: [...counted.rowsRead] };
  }

  const reported = Array.from({ length: QUIET_FLEET_ASSETS }, (_, n) =>
    uuid(2 * (ASSETS - QUIET_FLEET_ASSETS + n + 1)),
  );
  const lastPlant = uuid(2 * ASSETS - 1);

  test.for<[string, (of: Organizations) => Omit<LatestRequest, 'afterAssetId' | 'take'>, readonly string[]]>([
    ['every asset, of which few reported', ({ loud }) => ({ organizationId: loud }), reported],
    ['a fleet that never reported', ({ loud }) => ({ organizationId: loud, fleetId: fleet }), []],
    ['a quiet fleet', ({ loud }) => ({ organizationId: loud, fleetId: quietFleet }), reported],
    ['one asset', ({ loud }) => ({ organizationId: loud, assetId: reported[2]! }), [reported[2]!]],
    [
      'a key restricted to one plant of many',
      ({ solar }) => ({ organizationId: solar, plantIds: new Set([lastPlant]) }),
      [lastPlant],
    ],
    ['a key that may see no plant', ({ solar }) => ({ organizationId: solar, plantIds: new Set<string>() }), []],
  ])('a page examines a bounded number of assets and misses none: %s', async ([, requestOf, expected]) => {
    const walked = await walk(requestOf(organizations));
    expect(walked.assetIds).toEqual(expected);
    expect(Math.max(...walked.rowsRead)).toBeLessThanOrEqual(ROWS_MAX);
  });

  test('a small fleet costs what it has, and a page that fills what it gives', async () => {
    const { loud, solar } = organizations;
    expect((await walk({ organizationId: loud, fleetId: quietFleet })).rowsRead[0]).toBeLessThanOrEqual(
      2 * (QUIET_FLEET_ASSETS + 1),
    );
    counted.rowsRead.length = 0;
    await reader.latest({ organizationId: solar, afterAssetId: null, take: TAKE });
    expect(counted.rowsRead[0]).toBeLessThanOrEqual(2 * (TAKE + 2));
  });

  test('the count of rows tells a page without a bound', async () => {
    const unbounded = createTelemetryReader(counted.database, Number.MAX_SAFE_INTEGER);
    const walked = await walk({ organizationId: organizations.solar, plantIds: new Set<string>() }, unbounded);
    expect(walked.rowsRead[0]).toBeGreaterThanOrEqual(ASSETS);
  });
});
