import { Fault } from '@gladhand/base/fault.ts';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { asFault } from '../database/database-fault.ts';
import { isMissingPartition, type Partitions } from '../database/partitions.ts';
import { plainArray } from '../database/plain-array.ts';
import type { Schema } from '../database/schema.ts';
import { createGroupCommit } from './group-commit.ts';
import {
  type AppendOutcome,
  type Envelope,
  IDEMPOTENCY_TTL_MS,
  type Idempotency,
  type IntakeLog,
} from './intake-log.ts';
import { createTakeFloor } from './take-floor.ts';
import * as store from './take-store.ts';

/**
 * The intake log as three tables: `envelope`, the vault, keeps the bytes by day; `intake_log` holds what is still to be
 * mapped; `intake_deferred` what this node's kind cannot map. An append is one statement and one fsync for as many requests as came during the fsync before it.
 */
const GROUP_ITEMS_MAX = 1_000;
const GROUP_BYTES_MAX = 8 * 1024 * 1024;
const GROUP_WRITERS_MAX = 2;

interface Append {
  readonly envelope: Envelope;
  readonly idempotency: Idempotency | undefined;
}

export function openPostgresIntakeLog(parts: { database: Database; partitions: Partitions }): IntakeLog {
  const { database, partitions } = parts;
  const groups = createGroupCommit<Append, AppendOutcome>((appends) => writeGroup(database, partitions, appends), {
    itemsMax: GROUP_ITEMS_MAX,
    bytesMax: GROUP_BYTES_MAX,
    writersMax: GROUP_WRITERS_MAX,
  });
  const floor = createTakeFloor(() => store.selectWriters(database));
  return {
    append: (envelope, idempotency) => groups.push({ envelope, idempotency }, envelope.body.length),
    take: (limits) => store.takeBatch(database, floor, limits),
    pending: () => ({ envelopes: groups.unsettled.items, bytes: groups.unsettled.bytes, groupsWritten: groups.groups }),
    async backlog(most = Number.MAX_SAFE_INTEGER) {
      const { rows } = await sql<{ count: number }>`
        select count(*) as count from (select from intake_log limit ${most}) counted`.execute(database.system);
      return rows[0]!.count;
    },
    requeue: (envelopes) => (envelopes.length === 0 ? Promise.resolve() : insertLog(database.system, envelopes)),
    async resume(products, olderThanMs) {
      await store.resume(database, products, olderThanMs);
      floor.reset();
    },
    deferred: () => store.countDeferred(database),
    oldestReceivedAtMs: () => store.selectOldest(database),
    async forgetIdempotency(nowMs) {
      const before = new Date(nowMs - IDEMPOTENCY_TTL_MS);
      await database.system.deleteFrom('idempotency').where('received_at', '<', before).execute();
    },
    close: () => groups.drain(),
  };
}

async function writeGroup(
  database: Database,
  partitions: Partitions,
  appends: readonly Append[],
): Promise<AppendOutcome[]> {
  try {
    await partitions.ensure(
      'envelope',
      appends.map((append) => append.envelope.receivedAtMs),
    );
    if (appends.every((append) => append.idempotency === undefined)) {
      await insertEnvelopes(
        database.system,
        appends.map((append) => append.envelope),
      );
      return appends.map(appended);
    }
    return await database.system.transaction().execute((trx) => writeIdempotent(trx, appends));
  } catch (error) {
    // Dropped by another node since this one saw it; a sender that comes again finds it made anew.
    if (!isMissingPartition(error)) throw asFault(error);
    partitions.forget('envelope');
    throw new Fault('temporarily-unavailable', 'The log is being renewed. Send the same request again.', {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
}

const appended = ({ envelope }: Append): AppendOutcome => ({
  kind: 'appended',
  envelopeId: envelope.id,
  receivedAtMs: envelope.receivedAtMs,
});

/** The first use of a key is decided by the insert into `idempotency`, never by looking first. */
async function writeIdempotent(trx: Kysely<Schema>, appends: readonly Append[]): Promise<AppendOutcome[]> {
  const first = new Map<string, Append>();
  for (const append of appends) {
    if (append.idempotency && !first.has(slot(append))) first.set(slot(append), append);
  }
  // In a fixed order, so that two nodes with the same keys never wait for each other.
  const claims = [...first.values()].sort((one, other) => (slot(one) < slot(other) ? -1 : 1));
  const holders = await claimKeys(trx, claims);
  const outcomes = appends.map((append): AppendOutcome => {
    if (append.idempotency === undefined) return appended(append);
    const holder = holders.get(slot(append))!;
    if (!holder.fingerprint.equals(append.idempotency.fingerprint)) return { kind: 'conflict' };
    const kind = holder.envelopeId === append.envelope.id ? 'appended' : 'repeated';
    return { kind, envelopeId: holder.envelopeId, receivedAtMs: holder.receivedAtMs };
  });
  const kept = appends.filter((_, place) => outcomes[place]!.kind === 'appended');
  if (kept.length > 0)
    await insertEnvelopes(
      trx,
      kept.map((append) => append.envelope),
    );
  return outcomes;
}

const slot = ({ envelope, idempotency }: Append) => `${envelope.keyId} ${idempotency?.key}`;

interface Holder {
  readonly fingerprint: Buffer;
  readonly envelopeId: string;
  readonly receivedAtMs: number;
}

/** Who holds each (key, Idempotency-Key): this append where it is the first within the time to live, else the earlier one. */
async function claimKeys(trx: Kysely<Schema>, claims: readonly Append[]): Promise<Map<string, Holder>> {
  await sql`
    insert into idempotency (key_id, idempotency_key, fingerprint, envelope_id, received_at)
    select * from unnest(${claims.map((claim) => claim.envelope.keyId)}::uuid[], ${claims.map((claim) => claim.idempotency!.key)}::text[],
      ${claims.map((claim) => claim.idempotency!.fingerprint)}::bytea[], ${claims.map((claim) => claim.envelope.id)}::uuid[],
      ${claims.map((claim) => new Date(claim.envelope.receivedAtMs))}::timestamptz[])
    on conflict (key_id, idempotency_key) do update
      set fingerprint = excluded.fingerprint, envelope_id = excluded.envelope_id, received_at = excluded.received_at
      where idempotency.received_at < excluded.received_at - ${IDEMPOTENCY_TTL_MS} * interval '1 millisecond'`.execute(
    trx,
  );
  const { rows } = await sql<{
    key_id: string;
    idempotency_key: string;
    fingerprint: Buffer;
    envelope_id: string;
    received_at: Date;
  }>`
    select i.* from idempotency i join unnest(${claims.map((claim) => claim.envelope.keyId)}::uuid[],
      ${claims.map((claim) => claim.idempotency!.key)}::text[]) as t(key_id, idempotency_key) using (key_id, idempotency_key)`.execute(
    trx,
  );
  return new Map(
    rows.map((row) => [
      `${row.key_id} ${row.idempotency_key}`,
      { fingerprint: row.fingerprint, envelopeId: row.envelope_id, receivedAtMs: row.received_at.getTime() },
    ]),
  );
}

/**
 * Bodies travel as one block of bytes with offsets: a bytea array would be written in hex, twice as long. The block is
 * cut where it comes in; carried along in `incoming` it would be copied once per row (200 us a row instead of 20).
 */
async function insertEnvelopes(executor: Kysely<Schema>, envelopes: readonly Envelope[]): Promise<void> {
  let end = 1;
  const offsets = envelopes.map(({ body }) => (end += body.length) - body.length);
  const ids = (read: (envelope: Envelope) => string | null) => plainArray('uuid', envelopes.map(read));
  await sql`
    with incoming as materialized (
      select t.*, substring(${Buffer.concat(envelopes.map(({ body }) => body))}::bytea from t.start for t.length) as body from unnest(
        ${ids(({ id }) => id)}, ${store.instants(envelopes)}, ${ids(({ organizationId }) => organizationId)}, ${ids(({ keyId }) => keyId)},
        ${envelopes.map(({ partnerId }) => partnerId)}::text[], ${envelopes.map(({ product }) => product)}::text[],
        ${envelopes.map(({ asset }) => ('vin' in asset ? asset.vin : null))}::text[],
        ${ids(({ asset }) => ('plantId' in asset ? asset.plantId : null))},
        ${plainArray('integer', offsets)}, ${plainArray(
          'integer',
          envelopes.map(({ body }) => body.length),
        )}
      ) with ordinality as t(id, received_at, organization_id, key_id, partner_id, product, vin, plant_id, start, length, n)
    ), kept as (
      insert into envelope (id, received_at, organization_id, key_id, partner_id, product, vin, plant_id, body)
      select id, received_at, organization_id, key_id, partner_id, product, vin, plant_id, body from incoming
    )
    insert into intake_log (envelope_id, received_at) select id, received_at from incoming order by n`.execute(
    executor,
  );
}

async function insertLog(
  executor: Kysely<Schema>,
  envelopes: readonly { id: string; receivedAtMs: number }[],
): Promise<void> {
  await sql`insert into intake_log (envelope_id, received_at)
    select t.id, t.received_at from unnest(${plainArray(
      'uuid',
      envelopes.map(({ id }) => id),
    )}, ${store.instants(envelopes)}) with ordinality as t(id, received_at, n)
    order by t.n`.execute(executor);
}
