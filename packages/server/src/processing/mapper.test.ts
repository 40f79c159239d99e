import { systemClock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { type Logger, silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openMapperWorld, RECORDS, range } from '../../test/mapper-world.ts';
import type { Database } from '../database/database.ts';
import { RENEW_MS as LEASE_RENEW_MS } from '../database/lease.ts';
import type { IntakeLog } from '../intake-log/intake-log.ts';

/**
 * What the mapper loop promises when something goes wrong under it: exactly once in effect, in order per asset, and no
 * envelope stops the ones behind it.
 */
const DAY_MS = 86_400_000;

/** Lets PostgreSQL fail with `sqlstate` on every record for which `condition` holds. */
const failOn = (database: Database, condition: string, sqlstate: string) =>
  sql
    .raw(`create or replace function fail_on() returns trigger language plpgsql as $$
        begin
          if ${condition} then raise exception 'made to fail' using errcode = '${sqlstate}'; end if;
          return new;
        end $$;
        create or replace trigger fail_on before insert on record for each row execute function fail_on()`)
    .execute(database.owner);

test('what cannot be stored is rejected alone, and all around it is stored in order', async () => {
  const { sendMany, start, drained, receipts, speeds, database } = await openMapperWorld();
  // In the fourth of seven, which is stored together with others.
  await failOn(database, `(new.signals->'gps'->>'speedKph')::int = ${3 * RECORDS + 5}`, 'P0001');
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
  const { sendMany, start, drained, receipts, speeds, database } = await openMapperWorld();
  // What comes first is committed, what is mapped meanwhile is given up and taken again.
  await failOn(database, `(new.signals->'gps'->>'speedKph')::int = ${4 * RECORDS}`, '57P01');
  const ids = await sendMany(7);
  start();
  await vi.waitUntil(async () => (await speeds()).length > 0, { timeout: 30_000, interval: 20 });
  await failOn(database, 'false', '57P01');
  await drained();
  const found = await receipts();
  expect(ids.map((id) => found.get(id)!.status)).toEqual(Array(7).fill('processed'));
  expect(await speeds()).toEqual(range(0, 7 * RECORDS));
});

test('a mapping that throws, and a product that is gone, end as rejected with a code, and stop nothing', async () => {
  const { send, start, drained, receipts, speeds } = await openMapperWorld();
  const good = await send({ first: 0, records: 1 });
  const thrown = await send({ first: 1, records: 1, isThrowing: true });
  const gone = await send(
    { first: 1, records: 1 },
    { product: 'gone', receivedAtMs: systemClock.nowMs() - 8 * DAY_MS },
  );
  const after = await send({ first: 2, records: 1 });
  start();
  await drained();
  const found = await receipts();
  expect([good, after].map((id) => found.get(id)!.status)).toEqual(['processed', 'processed']);
  expect(found.get(thrown)).toMatchObject({ status: 'rejected', rejects: [{ code: 'mapping-failed' }] });
  expect(found.get(gone)).toMatchObject({ status: 'rejected', rejects: [{ code: 'product-missing' }] });
  expect(await speeds()).toEqual([0, 2]);
});

test('what was stored and not ended in the log is taken again, and nothing doubles', async () => {
  const { intakeLog, sendMany, start, drained, receipts, speeds } = await openMapperWorld();
  const ids = await sendMany(5);
  let failures = 2;
  const failing: IntakeLog = {
    ...intakeLog,
    async take(limits) {
      const batch = await intakeLog.take(limits);
      const acknowledge: typeof batch.acknowledge = async (envelopes) => {
        if (failures-- > 0) throw new Fault('temporarily-unavailable', 'Died before this.', { retryAfterSeconds: 1 });
        await batch.acknowledge(envelopes);
      };
      return { ...batch, acknowledge };
    },
  };
  start(['test'], { intakeLog: failing });
  await drained();
  expect(failures).toBeLessThan(0);
  const found = await receipts();
  expect(ids.map((id) => found.get(id)!.status)).toEqual(Array(5).fill('processed'));
  expect(await speeds()).toEqual(range(0, 5 * RECORDS));
});

test('a mapper that another one has replaced stores nothing, though it has not noticed', async () => {
  const { database, send, start, receipts, reaches, intakeLog } = await openMapperWorld();
  const leaseClock = { ...systemClock, after: neverAfter(LEASE_RENEW_MS) };
  let onRefused = () => {};
  const refused = new Promise<void>((resolve) => {
    onRefused = resolve;
  });
  const log = {
    ...silentLogger,
    error: () => {},
    debug: () => {},
    warn: ({ err }: { err?: Error }) => {
      if (err?.message.includes('has the lease')) onRefused();
    },
  } as unknown as Logger;
  start(['test'], { clock: leaseClock, log });
  await reaches(await send({ first: 0, records: 1 }), 'processed');
  const other = systemIds.uuid();
  await sql`update lease set holder = ${other}, fence = fence + 1, expires_at = 'infinity', backend_pid = pg_backend_pid()`.execute(
    database.owner,
  );
  const late = await send({ first: 1, records: 1 });
  await refused;
  expect((await receipts()).has(late)).toBe(false);
  expect(await intakeLog.backlog()).toBe(1);
});

/** A clock's timers, without those of this length: renewals do not come. */
function neverAfter(delayMs: number): typeof systemClock.after {
  return (asked, run) => (asked === delayMs ? () => {} : systemClock.after(asked, run));
}
