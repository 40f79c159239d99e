import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds, uuidFrom, uuidTimeMs } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { onTestFinished, vi } from 'vitest';
import { createPartitions } from '../src/database/partitions.ts';
import { createLocalDoorbell } from '../src/doorbell/local.ts';
import { openPostgresIntakeLog } from '../src/intake-log/postgres.ts';
import type { MappingOutcome } from '../src/mapping/mapped-record.ts';
import { insertOrganization } from '../src/organizations/store.ts';
import { type MapperParts, openMapper } from '../src/processing/mapper.ts';
import type { Product } from '../src/products/products.ts';
import { openTestDatabase } from './database.ts';
import { createTestRegistry } from './registry.ts';

/**
 * A mapper with its database, one trailer, and products whose payload says how many records it becomes, or that its
 * mapping throws.
 */
export const VIN = '1UYVS2533P7204518';
const FIRST_AT_MS = Date.UTC(2026, 2, 2);
/** Of an envelope: so many that a few of them fill a transaction, and the next is mapped while it is stored. */
export const RECORDS = 900;

export interface Payload {
  readonly first: number;
  readonly records: number;
  readonly isThrowing?: boolean;
}

export function makeProduct(name: string): Product {
  const mapping: Product['mapping'] = {
    run(input): MappingOutcome {
      const { first, records, isThrowing } = input.payload as Payload;
      if (isThrowing) throw new Error('a fault of the program');
      return {
        records: Array.from({ length: records }, (_, place) => ({
          assetRef: 'vin' in input ? { vin: input.vin } : { plantId: input.plantId },
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
  };
  const fixed = { name, mappingVersion: 1, mappingHash: `sha256:${'0'.repeat(64)}`, mapping };
  return fixed as Pick<Product, keyof typeof fixed> as Product;
}

export interface Sending {
  readonly product?: string;
  readonly asset?: { readonly vin: string } | { readonly plantId: string };
  readonly receivedAtMs?: number;
}

export async function openMapperWorld() {
  const database = await openTestDatabase();
  const around = { clock: systemClock, ids: systemIds };
  const organizationId = systemIds.uuid();
  const at = new Date(systemClock.nowMs());
  await insertOrganization(database.owner, { id: organizationId, slug: 'o', name: 'O', kind: 'customer', at });
  const registry = createTestRegistry({ database, ...around });
  const trailer = await registry.createTrailer(organizationId, { vin: VIN, name: 'T' });
  const partitions = createPartitions(database);
  const intakeLog = openPostgresIntakeLog({ database, partitions });
  const doorbell = createLocalDoorbell();
  const send = async (payload: Payload, sending: Sending = {}) => {
    const { product = 'test', asset = { vin: VIN }, receivedAtMs } = sending;
    const id = receivedAtMs === undefined ? systemIds.uuid() : uuidFrom(receivedAtMs, systemIds.randomBytes(16));
    const fixed = { organizationId, keyId: systemIds.uuid(), partnerId: 'p', product, asset };
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
  /** How many envelopes were settled, by any mapper of this world. */
  let settled = 0;
  const start = (names: readonly string[] = ['test'], parts: Partial<MapperParts> = {}) => {
    const products = names.map(makeProduct);
    const mapper = openMapper({
      database,
      intakeLog,
      partitions,
      doorbell,
      log: silentLogger,
      ...around,
      products: { find: (name) => products.find((product) => product.name === name), all: products },
      onSettled: (_, envelopes) => {
        settled += envelopes;
      },
      ...parts,
    });
    onTestFinished(() => mapper.close());
    return mapper;
  };
  const drained = () => vi.waitUntil(async () => (await intakeLog.backlog(1)) === 0, { timeout: 30_000, interval: 20 });
  const receipts = async () => {
    const rows = await database.owner.selectFrom('receipt').select(['envelope_id', 'status', 'rejects']).execute();
    return new Map(rows.map((row) => [row.envelope_id, row]));
  };
  /** Resolves when the receipt of this envelope says so. */
  const reaches = (id: string, status: string) =>
    vi.waitUntil(async () => (await receipts()).get(id)?.status === status, { timeout: 30_000, interval: 20 });
  /** What each record was sent as, in the order of positions. */
  const speeds = async () => {
    const { rows } = await sql<{ speed: number }>`
      select (signals->'gps'->>'speedKph')::int as speed from record order by position`.execute(database.owner);
    return rows.map(({ speed }) => speed);
  };
  const { createTrailer } = registry;
  const counts = { settled: () => settled };
  return {
    database,
    partitions,
    intakeLog,
    doorbell,
    organizationId,
    trailer,
    createTrailer,
    send,
    sendMany,
    start,
    drained,
    receipts,
    reaches,
    speeds,
    ...counts,
  };
}

export const range = (first: number, end: number) => Array.from({ length: end - first }, (_, place) => first + place);
