import { type Clock, systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import type { Database } from './database.ts';
import { type Lease, openLease } from './lease.ts';

/** As that of a process that was stopped: what it set going never comes. */
const frozenClock: Clock = { ...systemClock, after: () => () => {} };

function open(database: Database, clock: Clock = systemClock): Lease {
  const lease = openLease({ database, clock, ids: systemIds, log: silentLogger, name: 'duty', onHeld: () => {} });
  onTestFinished(() => lease.close());
  return lease;
}

const held = (lease: Lease) => vi.waitUntil(() => lease.isHeld, { timeout: 30_000, interval: 20 });

async function expire(database: Database): Promise<void> {
  await sql`update lease set expires_at = clock_timestamp() - interval '1 second'`.execute(database.owner);
}

const guarded = (database: Database, lease: Lease) => database.system.transaction().execute((trx) => lease.guard(trx));

test('a holder that renews keeps the lease, and the next one has it when it gives it up', async () => {
  const database = await openTestDatabase();
  const first = open(database);
  await held(first);
  const second = open(database);
  await guarded(database, first);
  expect([first.isHeld, second.isHeld]).toEqual([true, false]);
  await first.close();
  await held(second);
  expect([first.isHeld, second.fence]).toEqual([false, 2]);
});

test('a holder that is frozen is replaced when its time is over, and can store nothing any more', async () => {
  const database = await openTestDatabase();
  const frozen = open(database, frozenClock);
  await held(frozen);
  const next = open(database);
  await guarded(database, frozen);
  await expire(database);
  await held(next);
  // It has not noticed: its session lives, and by its own clock it holds the lease.
  expect(frozen.isHeld).toBe(true);
  await expect(guarded(database, frozen)).rejects.toMatchObject({ code: 'temporarily-unavailable' });
  expect(frozen.isHeld).toBe(false);
  await guarded(database, next);
});

test('a new holder begins only after the transaction that the one before has under way', async () => {
  const database = await openTestDatabase();
  const first = open(database, frozenClock);
  await held(first);
  const order: string[] = [];
  let next: Lease | undefined;
  await database.system.transaction().execute(async (trx) => {
    await first.guard(trx);
    await expire(database);
    next = open(database);
    await vi.waitUntil(
      async () => {
        const { rows } = await sql`select from pg_stat_activity where wait_event_type = 'Lock'
          and query like '%lease%' and datname = current_database()`.execute(database.owner);
        return rows.length > 0;
      },
      { timeout: 30_000, interval: 20 },
    );
    expect(next.isHeld).toBe(false);
    order.push('stored');
  });
  await held(next!);
  order.push('next');
  expect(order).toEqual(['stored', 'next']);
});

test('a renewal does not wait for a transaction of its own holder', async () => {
  const database = await openTestDatabase();
  let renew = () => {};
  const clock: Clock = {
    ...systemClock,
    after: (_delayMs, run) => {
      renew = run;
      return () => {};
    },
  };
  const lease = open(database, clock);
  await held(lease);
  const expiry = async () =>
    (await database.owner.selectFrom('lease').select('expires_at').executeTakeFirstOrThrow()).expires_at.getTime();
  await database.system.transaction().execute(async (trx) => {
    await lease.guard(trx);
    const before = await expiry();
    renew();
    await vi.waitUntil(async () => (await expiry()) > before, { timeout: 30_000, interval: 20 });
  });
});

test('a holder whose session has ended is replaced at once', async () => {
  const database = await openTestDatabase();
  const gone = open(database, frozenClock);
  await held(gone);
  await sql`select pg_terminate_backend(backend_pid) from lease`.execute(database.owner);
  await sql`update lease set expires_at = 'infinity'`.execute(database.owner);
  await held(open(database));
});
