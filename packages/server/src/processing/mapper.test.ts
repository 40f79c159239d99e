import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds, uuidTimeMs } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createTestRegistry } from '../../test/registry.ts';
import { createPartitions } from '../database/partitions.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import type { MappingOutcome } from '../mapping/mapped-record.ts';
import { insertOrganization } from '../organizations/store.ts';
import type { Product } from '../products/products.ts';
import { openMapper } from './mapper.ts';

/**
 * What the mapper loop promises when something goes wrong under it: exactly once in effect, in order per asset, and no
 * envelope stops the ones behind it. A payload here says how many records it becomes, or that its mapping throws.
 */
const VIN = '1UYVS2533P7204518';
const FIRST_AT_MS = Date.UTC(2026, 2, 2);
/** Of an envelope: so many that a few of them fill a transaction, and the next is mapped while it is stored. */
const RECORDS = 900;

interface Payload {
  readonly first: number;
  readonly records: number;
  readonly isThrowing?: boolean;
}

const product = {
  name: 'test',
  mappingVersion: 1,
  mappingHash: `sha256:${'0'.repeat(64)}`,
  mapping: {
    run(input): MappingOutcome {
      const vin = 'vin' in input ? input.vin : '';
      const { first, records, isThrowing } = input.payload as Payload;
      if (isThrowing) throw new Error('a fault of the program');
      return {
        records: Array.from({ length: records }, (_, place) => ({
          assetRef: { vin },
          observedAtMs: FIRST_AT_MS + (first + place) * 1000,
          signals: { gps: { speedKph: first + place } },
        })),
        rejects: [],
        rejectsTotal: 0,
        skipped: 0,
        leaves: { taken: 3, skipped: 0, leftOut: 0, rejected: 0, unused: 0, leftOutPaths: [], unusedPaths: [] },
        dependsOnArrival: false,
      };
    },
  },
} as Pick<Product, 'name' | 'mappingVersion' | 'mappingHash' | 'mapping'> as Product;

async function openWorld() {
  const database = await openTestDatabase();
  const around = { clock: systemClock, ids: systemIds };
  const organizationId = systemIds.uuid();
  const at = new Date(systemClock.nowMs());
  await insertOrganization(database.owner, { id: organizationId, slug: 'o', name: 'O', kind: 'customer', at });
  const registry = createTestRegistry({ database, ...around });
  const fleet = await registry.createFleet(organizationId, { name: 'F' });
  await registry.createTrailer(organizationId, { vin: VIN, name: 'T', fleetId: fleet.id });
  const partitions = createPartitions(database);
  const intakeLog = openPostgresIntakeLog({ database, partitions });
  const doorbell = createLocalDoorbell();
  const send = async (payload: Payload, productName = 'test') => {
    const id = systemIds.uuid();
    const fixed = {
      organizationId,
      keyId: systemIds.uuid(),
      partnerId: 'p',
      product: productName,
      asset: { vin: VIN },
    };
    const body = Buffer.from(JSON.stringify(payload));
    await intakeLog.append({ id, receivedAtMs: uuidTimeMs(id), body, ...fixed });
    return id;
  };
  /** `count` envelopes, the records of each after those of the one before. */
  const sendMany = async (count: number) => {
    const ids: string[] = [];
    for (let place = 0; place < count; place += 1) ids.push(await send({ first: place * RECORDS, records: RECORDS }));
    return ids;
  };
  const start = () => {
    const mapper = openMapper({
      ...{ database, intakeLog, partitions, doorbell, log: silentLogger, ...around },
      products: { find: (name) => (name === 'test' ? product : undefined), all: [product] },
    });
    onTestFinished(() => mapper.close());
  };
  const drained = () => vi.waitUntil(async () => (await intakeLog.backlog(1)) === 0, { timeout: 30_000, interval: 20 });
  const receipts = async () => {
    const rows = await database.owner.selectFrom('receipt').select(['envelope_id', 'status', 'rejects']).execute();
    return new Map(rows.map((row) => [row.envelope_id, row]));
  };
  /** What each record was sent as, in the order of positions. */
  const speeds = async () => {
    const { rows } = await sql<{ speed: number }>`
      select (signals->'gps'->>'speedKph')::int as speed from record order by position`.execute(database.owner);
    return rows.map(({ speed }) => speed);
  };
  /** Lets PostgreSQL fail with `sqlstate` on every record for which `condition` holds. */
  const failOn = (condition: string, sqlstate: string) =>
    sql
      .raw(`create or replace function fail_on() returns trigger language plpgsql as $$
        begin
          if ${condition} then raise exception 'made to fail' using errcode = '${sqlstate}'; end if;
          return new;
        end $$;
        create or replace trigger fail_on before insert on record for each row execute function fail_on()`)
      .execute(database.owner);
  const range = (first: number, end: number) => Array.from({ length: end - first }, (_, place) => first + place);
  return { send, sendMany, start, drained, receipts, speeds, failOn, range };
}

test('what cannot be stored is rejected alone, and all around it is stored in order', async () => {
  const { sendMany, start, drained, receipts, speeds, failOn, range } = await openWorld();
  // In the fourth of seven, which is stored together with others.
  await failOn(`(new.signals->'gps'->>'speedKph')::int = ${3 * RECORDS + 5}`, 'P0001');
  const ids = await sendMany(7);
  start();
  await drained();
  const found = await receipts();
  expect(ids.map((id) => found.get(id)!.status)).toEqual(
    range(0, 7).map((place) => (place === 3 ? 'rejected' : 'processed')),
  );
  expect(found.get(ids[3]!)!.rejects).toMatchObject([{ code: 'storing-failed' }]);
  expect(await speeds()).toEqual([...range(0, 3 * RECORDS), ...range(4 * RECORDS, 7 * RECORDS)]);
});

test('while the database cannot, the batch is tried again: nothing is lost, doubled or out of order', async () => {
  const { sendMany, start, drained, receipts, speeds, failOn, range } = await openWorld();
  // What comes first is committed, what is mapped meanwhile is given up and taken again.
  await failOn(`(new.signals->'gps'->>'speedKph')::int = ${4 * RECORDS}`, '57P01');
  const ids = await sendMany(7);
  start();
  await vi.waitUntil(async () => (await speeds()).length > 0, { timeout: 30_000, interval: 20 });
  await failOn('false', '57P01');
  await drained();
  const found = await receipts();
  expect(ids.map((id) => found.get(id)!.status)).toEqual(Array(7).fill('processed'));
  expect(await speeds()).toEqual(range(0, 7 * RECORDS));
});

test('a mapping that throws, and a product that is gone, end as rejected with a code, and stop nothing', async () => {
  const { send, start, drained, receipts, speeds } = await openWorld();
  const good = await send({ first: 0, records: 1 });
  const thrown = await send({ first: 1, records: 1, isThrowing: true });
  const gone = await send({ first: 1, records: 1 }, 'gone');
  const after = await send({ first: 2, records: 1 });
  start();
  await drained();
  const found = await receipts();
  expect([good, after].map((id) => found.get(id)!.status)).toEqual(['processed', 'processed']);
  expect(found.get(thrown)).toMatchObject({ status: 'rejected', rejects: [{ code: 'mapping-failed' }] });
  expect(found.get(gone)).toMatchObject({ status: 'rejected', rejects: [{ code: 'product-missing' }] });
  expect(await speeds()).toEqual([0, 2]);
});
