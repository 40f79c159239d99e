import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds, uuidFrom, uuidTimeMs } from '@gladhand/base/ids.ts';
import { type Kysely, sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { countRowsReadIn } from '../../test/rows-read.ts';
import type { Database } from '../database/database.ts';
import { createPartitions } from '../database/partitions.ts';
import type { Schema } from '../database/schema.ts';
import { describeIntakeLog } from './conformance.ts';
import type { Envelope } from './intake-log.ts';
import { openPostgresIntakeLog } from './postgres.ts';
import { FLOOR_LAG_ENTRIES_MAX } from './take-floor.ts';

const DAY_MS = 86_400_000;

describeIntakeLog('the intake log in PostgreSQL', async () => {
  const database = await openTestDatabase();
  return { log: openPostgresIntakeLog({ database, partitions: createPartitions(database) }) };
});

function envelopeAt(receivedAtMs: number): Envelope {
  const id = uuidFrom(receivedAtMs, systemIds.randomBytes(16));
  const fixed = { organizationId: id, keyId: id, partnerId: 'p', product: 'traccar', body: Buffer.from('{}') };
  return { id, receivedAtMs: uuidTimeMs(id), asset: { vin: '1UYVS2533P7204518' }, ...fixed };
}

/** A log whose statements can be made to run in one transaction, where they can be looked at. */
async function openObservedLog() {
  const database = await openTestDatabase();
  let system = database.system;
  const observed: Database = {
    ...database,
    get system() {
      return system;
    },
  };
  const log = openPostgresIntakeLog({ database: observed, partitions: createPartitions(database) });
  const observe = <Result>(work: (trx: Kysely<Schema>) => Promise<Result>) =>
    database.system.transaction().execute(async (trx) => {
      system = trx;
      return work(trx).finally(() => {
        system = database.system;
      });
    });
  return { database, log, observe };
}

test('taking touches the days of the batch and no other day of the vault', async () => {
  const { log, observe } = await openObservedLog();
  const nowMs = systemClock.nowMs();
  for (let day = 0; day < 10; day += 1) await log.append(envelopeAt(nowMs - day * DAY_MS));
  const { envelopes, acknowledge } = await log.take({ envelopesMax: 100, bytesMax: 1e6 });
  await acknowledge(envelopes.slice(2));
  await observe(async (trx) => {
    expect((await log.take({ envelopesMax: 100, bytesMax: 1e6 })).envelopes).toHaveLength(2);
    // A plan locks every partition that it has.
    const { rows } = await sql<{ days: number }>`
      select count(*)::int as days from pg_locks l join pg_class c on c.oid = l.relation
      where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname like 'envelope_%'`.execute(trx);
    expect(rows[0]!.days).toBe(2);
  });
});

test('taking passes few of the entries that have ended, however long a snapshot keeps them', async () => {
  const { database, log, observe } = await openObservedLog();
  const limits = { envelopesMax: 1_000, bytesMax: 1e9 };
  const total = 4 * FLOOR_LAG_ENTRIES_MAX;
  await Promise.all(Array.from({ length: total }, () => log.append(envelopeAt(systemClock.nowMs()))));
  await database.owner
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (snapshot) => {
      await sql`select count(*) from intake_log`.execute(snapshot);
      for (let taken = 0; taken < total - 1_000; taken += 1_000) {
        const { envelopes, acknowledge } = await log.take(limits);
        await acknowledge(envelopes);
      }
      const read = await observe((trx) => countRowsReadIn(trx, async () => void (await log.take(limits))));
      // The batch by both tables and their keys, and what the floor may lag.
      expect(read).toBeLessThan(4 * 1_000 + 2 * FLOOR_LAG_ENTRIES_MAX);
    });
});

test('an entry that becomes visible late, below others that have ended, is taken', async () => {
  const { database, log } = await openObservedLog();
  const limits = { envelopesMax: 1_000, bytesMax: 1e9 };
  const late = envelopeAt(systemClock.nowMs());
  await log.append(late);
  const { envelopes, acknowledge } = await log.take(limits);
  await acknowledge(envelopes);
  await database.owner.transaction().execute(async (slow) => {
    await sql`insert into intake_log (envelope_id, received_at) values (${late.id}, ${new Date(late.receivedAtMs)})`.execute(
      slow,
    );
    await Promise.all(
      Array.from({ length: 2 * FLOOR_LAG_ENTRIES_MAX }, () => log.append(envelopeAt(systemClock.nowMs()))),
    );
    for (let taken = 0; taken < 2 * FLOOR_LAG_ENTRIES_MAX - 1_000; taken += 1_000) {
      const batch = await log.take(limits);
      await batch.acknowledge(batch.envelopes);
    }
  });
  expect((await log.take(limits)).envelopes[0]).toEqual(late);
});
