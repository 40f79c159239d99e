import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { bodyOf, createTraccarWriter, SEQUENCE_BASE } from '../rig/partner-request.ts';
import { withStoppedDatabase } from '../rig/stopped-database.ts';
import type { Stored, StoredEnvelope, StoredRecord } from './kill-check.ts';
import { observedAtMs } from './lanes.ts';

interface EnvelopeRow {
  id: string;
  vin: string;
  sequence: number;
  sha256: string;
  receipts: number;
  status: string | null;
}

/** Reads the data folder of a stopped server. Makes each sent body again, from `startedAtMs` and its fields, to compare it. */
export async function readStored(dataDirectory: string, startedAtMs: number): Promise<Stored> {
  return withStoppedDatabase(dataDirectory, async (database) => {
    const envelopes = await sql<EnvelopeRow>`
      select e.id, e.vin, coalesce(substring(convert_from(e.body, 'UTF8') from '"odometer":([0-9]+)')::integer, 0) as sequence,
        encode(sha256(e.body), 'hex') as sha256, count(r.envelope_id)::integer as receipts, min(r.status) as status
      from envelope e left join receipt r on r.envelope_id = e.id
      group by e.received_at, e.id`.execute(database.system);
    const records = await sql<StoredRecord>`
      select a.vin, (r.signals->'odometer'->>'odometerM')::integer - ${SEQUENCE_BASE} as sequence, r.position, r.receipt_id as "receiptId"
      from record r join asset a on a.id = r.asset_id`.execute(database.system);
    const queued = await sql<{ count: number }>`select count(*)::integer as count from intake_log`.execute(
      database.system,
    );
    const writer = createTraccarWriter({ token: '', startedAtMs });
    const toStored = ({ sha256, ...row }: EnvelopeRow): StoredEnvelope => {
      const sequence = row.sequence - SEQUENCE_BASE;
      const body = bodyOf(writer.write(row.vin, sequence, observedAtMs(startedAtMs, sequence)));
      return { ...row, sequence, isWhole: createHash('sha256').update(body).digest('hex') === sha256 };
    };
    return { envelopes: envelopes.rows.map(toStored), records: records.rows, queued: queued.rows[0]!.count };
  });
}
