import { systemClock } from '@gladhand/base/clock.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createPartitions } from '../database/partitions.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import { keepHouse } from './housekeeper.ts';

const DAY_MS = 86_400_000;

test('what is past its retention goes by whole partitions, and nothing that is younger', async () => {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const nowMs = Date.UTC(2026, 10, 23, 12);
  const ages = [0, 1, 29, 31, 32, 45].map((days) => nowMs - days * DAY_MS);
  for (const table of ['envelope', 'receipt', 'record'] as const) await partitions.ensure(table, ages);
  const forgotten: number[] = [];
  await keepHouse({
    intakeLog: openPostgresIntakeLog({ database, partitions }),
    partitions,
    clock: { ...systemClock, nowMs: () => nowMs },
    log: silentLogger,
    envelopeRetentionDays: 30,
    recordRetentionDays: 40,
    forget: [async (atMs) => void forgotten.push(atMs), async (atMs) => void forgotten.push(atMs)],
  });
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where c.relkind = 'r' order by c.relname`.execute(database.owner);
  const kept = rows.map(({ name }) => name);
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
