import { type Kysely, type Selectable, sql } from 'kysely';
import { plainArray } from '../database/plain-array.ts';
import type { EnvelopeTable, Schema } from '../database/schema.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import type { EnvelopeName, EnvelopeRange } from './vault.ts';

/** The SQL of reading envelopes back. */
export async function selectEnvelopes(db: Kysely<Schema>, named: readonly EnvelopeName[]): Promise<Envelope[]> {
  const instants = named.map(({ receivedAtMs }) => new Date(receivedAtMs));
  const ids = named.map(({ id }) => id);
  // By the instants alone, which leave out partitions when the statement is planned, then by the key.
  const { rows } = await sql<Selectable<EnvelopeTable>>`
    select e.* from unnest(${plainArray('uuid', ids)}, ${plainArray('timestamptz', instants)}) as t(id, received_at)
    join envelope e using (received_at, id)
    where e.received_at = any(${plainArray('timestamptz', instants)})`.execute(db);
  return rows.map(toEnvelope);
}

export async function listEnvelopes(db: Kysely<Schema>, range: EnvelopeRange): Promise<Envelope[]> {
  const { fromMs, untilMs, product, after, take } = range;
  let query = db
    .selectFrom('envelope')
    .selectAll()
    .where('received_at', '>=', new Date(Math.max(fromMs, after?.receivedAtMs ?? fromMs)))
    .where('received_at', '<', new Date(untilMs))
    .orderBy('received_at')
    .orderBy('id')
    .limit(take);
  if (product !== undefined) query = query.where('product', '=', product);
  if (after !== undefined)
    query = query.where(sql<boolean>`(received_at, id) > (${new Date(after.receivedAtMs)}, ${after.id}::uuid)`);
  return (await query.execute()).map(toEnvelope);
}

function toEnvelope(row: Selectable<EnvelopeTable>): Envelope {
  return {
    id: row.id,
    receivedAtMs: row.received_at.getTime(),
    organizationId: row.organization_id,
    keyId: row.key_id,
    partnerId: row.partner_id,
    product: row.product,
    asset: row.vin === null ? { plantId: row.plant_id! } : { vin: row.vin },
    body: row.body,
  };
}
