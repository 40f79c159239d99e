import { signalBits } from '@gladhand/contract/signals.ts';
import { createPartitions } from '@gladhand/server/database/partitions.ts';
import type { Schema } from '@gladhand/server/database/schema.ts';
import { type Kysely, sql } from 'kysely';
import { AROUND } from './seed.ts';
import { withStoppedDatabase } from './stopped-database.ts';

/**
 * Makes an installation old: as many weeks of records and days of envelopes as it has after a year in use. Written as
 * rows, because sending them would take hours. Assumes a seeded data folder whose server is stopped.
 */
export interface Age {
  readonly weeks: number;
  readonly recordsPerWeek: number;
  readonly days: number;
  readonly envelopesPerDay: number;
}

/** 58 weeks of records are kept, and 90 days of envelopes, by the default configuration. */
export const YEAR: Age = { weeks: 58, recordsPerWeek: 10_000, days: 90, envelopesPerDay: 2_000 };

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const SIGNALS = {
  gps: { latitude: 39.7684, longitude: -86.158, altitudeM: 218, headingDeg: 271, speedKph: 93, hdop: 0.8 },
  odometer: { odometerM: 100_000_002 },
  motion: { moving: true, ignition: 'on' },
  power: { externalV: 12.63, batteryV: 4.08, batterySocPct: 97 },
  environment: { temperatureC: -17.9 },
} as const;
/** One in so many records has this group, for pages whose filter few records pass. */
const RARE_EVERY = 500;
const RARE = { ...SIGNALS, coupling: { coupled: true } } as const;

export async function ageInstallation(dataDirectory: string, age: Age): Promise<void> {
  await withStoppedDatabase(dataDirectory, async (database) => {
    const partitions = createPartitions(database);
    const nowMs = AROUND.clock.nowMs();
    for (let week = age.weeks - 1; week >= 0; week -= 1) {
      const fromMs = nowMs - (week + 1) * WEEK_MS;
      await partitions.ensure('record', [fromMs, fromMs + WEEK_MS]);
      await addRecords(database.owner, fromMs, age.recordsPerWeek);
    }
    for (let day = age.days - 1; day >= 0; day -= 1) {
      const fromMs = nowMs - (day + 1) * DAY_MS;
      for (const table of ['envelope', 'receipt'] as const) await partitions.ensure(table, [fromMs, fromMs + DAY_MS]);
      await addEnvelopes(database.owner, fromMs, age.envelopesPerDay);
    }
    await sql`vacuum analyze`.execute(database.owner);
  });
}

/** Evenly over the week and over the trailers, in the order of their positions. */
async function addRecords(owner: Kysely<Schema>, fromMs: number, count: number): Promise<void> {
  const bits = (signals: object) => sql.lit(signalBits(signals));
  await sql`
    with sequencer as (update telemetry_position set value = value + ${count} returning value - ${count} as base),
    trailer as (select id, organization_id, fleet_id, row_number() over (order by id) - 1 as n, count(*) over () as count from asset)
    insert into record (id, asset_id, observed_at, organization_id, fleet_id, asset_kind, device_id, device_at, received_at,
      processed_at, product, mapping_version, receipt_id, position, signal_groups, signals)
    select gen_random_uuid(), t.id, at, t.organization_id, t.fleet_id, 'trailer', null, null, at, at, 'traccar', 1,
      gen_random_uuid(), s.base + i,
      case when i % ${RARE_EVERY} = 0 then ${bits(RARE)} else ${bits(SIGNALS)} end,
      case when i % ${RARE_EVERY} = 0 then ${JSON.stringify(RARE)} else ${JSON.stringify(SIGNALS)} end::json
    from sequencer s, generate_series(1, ${count}::int) i
    cross join lateral (select ${new Date(fromMs)}::timestamptz + i * ${WEEK_MS / count}::float8 * interval '1 millisecond' as at) a
    join trailer t on t.n = i % t.count`.execute(owner);
}

/** One processed envelope after the other, with a body as long as a partner's. */
async function addEnvelopes(owner: Kysely<Schema>, fromMs: number, count: number): Promise<void> {
  const body = Buffer.from(JSON.stringify({ signals: SIGNALS, padding: 'x'.repeat(700) }));
  await sql`
    with sender as (select id, organization_id from api_key where audience = 'partner' order by id limit 1),
    made as (
      insert into envelope (id, received_at, organization_id, key_id, partner_id, product, vin, body)
      select gen_random_uuid(), ${new Date(fromMs)}::timestamptz + i * ${DAY_MS / count}::float8 * interval '1 millisecond',
        s.organization_id, s.id, 'partner', 'traccar', '1UYVS2533P7204518', ${body}
      from sender s, generate_series(1, ${count}::int) i
      returning id, received_at, organization_id
    )
    insert into receipt (envelope_id, received_at, organization_id, partner_id, product, status, mapping_version, processed_at,
      record_ids, skipped, rejects, unclaimed)
    select id, received_at, organization_id, 'partner', 'traccar', 'processed', 1, received_at, array[gen_random_uuid()], 0, '[]', '{}'
    from made`.execute(owner);
}
