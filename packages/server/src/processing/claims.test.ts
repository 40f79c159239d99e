import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds, uuidTimeMs } from '@gladhand/base/ids.ts';
import { type Logger, silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openMapperWorld, range } from '../../test/mapper-world.ts';
import { countRowsReadIn } from '../../test/rows-read.ts';
import { createVault } from '../vault/vault.ts';
import { requeueClaimed } from './claims.ts';

/** Envelopes that wait for a registration, and what becomes of them when it comes, comes too late, or never can. */
const DAY_MS = 86_400_000;
const LATER_VIN = '1M8GDM9AXKP042788';

test('an entry whose envelope is gone ends, and all others are mapped', async () => {
  const { database, send, start, drained, reaches } = await openMapperWorld();
  const receivedAtMs = systemClock.nowMs() - 90 * DAY_MS;
  for (const first of range(0, 3)) await send({ first, records: 1 }, { receivedAtMs });
  const day = new Date(receivedAtMs).toISOString().slice(0, 10).replaceAll('-', '');
  await sql.raw(`drop table envelope_${day}`).execute(database.owner);
  const kept = await send({ first: 9, records: 1 });
  start();
  await reaches(kept, 'processed');
  await drained();
});

test('a VIN that is registered after the day of its envelope was dropped stops nothing', async () => {
  const { database, organizationId, createTrailer, send, start, drained, reaches } = await openMapperWorld();
  const receivedAtMs = systemClock.nowMs() - 90 * DAY_MS;
  const waiting = await send({ first: 0, records: 1 }, { asset: { vin: LATER_VIN }, receivedAtMs });
  start();
  await reaches(waiting, 'unclaimed');
  const day = new Date(receivedAtMs).toISOString().slice(0, 10).replaceAll('-', '');
  await sql.raw(`drop table envelope_${day}`).execute(database.owner);
  await createTrailer(organizationId, { vin: LATER_VIN, name: 'L' });
  await vi.waitUntil(async () => (await database.owner.selectFrom('unclaimed').selectAll().execute()).length === 0, {
    timeout: 30_000,
    interval: 20,
  });
  const next = await send({ first: 1, records: 1 });
  await reaches(next, 'processed');
  await drained();
});

test('the id of a trailer sent as a plant is rejected once, and said to be no plant', async () => {
  const { trailer, send, start, reaches, drained, receipts, settled } = await openMapperWorld();
  const misnamed = await send({ first: 0, records: 1 }, { asset: { plantId: trailer.id } });
  start();
  await reaches(misnamed, 'rejected');
  expect((await receipts()).get(misnamed)!.rejects).toMatchObject([{ code: 'not-a-plant', refused: 'payload' }]);
  const next = await send({ first: 1, records: 1 });
  await reaches(next, 'processed');
  await drained();
  expect(settled()).toBe(2);
});

test('what a node has no product for waits for one that has, in order, and holds up nothing else', async () => {
  const { intakeLog, send, start, drained, receipts, reaches, speeds } = await openMapperWorld();
  const waiting = [
    await send({ first: 0, records: 1 }, { product: 'newer' }),
    await send({ first: 1, records: 1 }, { product: 'newer' }),
  ];
  const own = await send({ first: 2, records: 1 });
  const warnings: unknown[] = [];
  const log = { ...silentLogger, warn: (told: unknown) => void warnings.push(told) } as unknown as Logger;
  const here = start(['test'], { log });
  await reaches(own, 'processed');
  await drained();
  expect(warnings).toEqual([{ products: ['newer'], envelopes: 2 }]);
  expect(await intakeLog.deferred()).toEqual(new Map([['newer', 2]]));
  const settledHere = await receipts();
  expect(waiting.filter((id) => settledHere.has(id))).toEqual([]);
  await here.close();
  await send({ first: 3, records: 1 }, { product: 'newer' });
  start(['test', 'newer']);
  await reaches(waiting[1]!, 'processed');
  await drained();
  expect(await speeds()).toEqual([2, 0, 1, 3]);
});

test('a look for claims reads no envelope that waits for another name', async () => {
  const { database, intakeLog, organizationId, createTrailer, send } = await openMapperWorld();
  await database.owner.deleteFrom('new_claim').execute();
  const sent = [await send({ first: 0, records: 1 }), await send({ first: 1, records: 1 })];
  const batch = await intakeLog.take({ envelopesMax: 10, bytesMax: 1e6 });
  await batch.acknowledge(batch.envelopes);
  const wait = (name: string, id = systemIds.uuid()) => ({
    asset_name: name,
    envelope_id: id,
    received_at: new Date(uuidTimeMs(id)),
    organization_id: organizationId,
  });
  const others = range(0, 3_000).map((place) => wait(`1M8GDM9A0KP0${10_000 + place}`));
  await database.owner
    .insertInto('unclaimed')
    .values([...others, ...sent.map((id) => wait(LATER_VIN, id)), wait(LATER_VIN)])
    .execute();
  await sql`analyze unclaimed`.execute(database.owner);
  const rowsRead = () =>
    database.system.transaction().execute((system) =>
      countRowsReadIn(system, () => {
        const own = { ...database, system };
        return requeueClaimed({ database: own, intakeLog, vault: createVault(own) });
      }),
    );
  expect(await rowsRead()).toBe(0);
  await createTrailer(organizationId, { vin: LATER_VIN, name: 'L' });
  expect(await rowsRead()).toBeLessThan(30);
  expect(await intakeLog.backlog()).toBe(2);
  expect(await rowsRead()).toBeLessThan(10);
});
