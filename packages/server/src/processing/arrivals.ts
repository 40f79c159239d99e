import { hash } from 'node:crypto';
import { uuidTimeMs } from '@gladhand/base/ids.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import type { MappedEnvelope } from './settle.ts';
import * as store from './store.ts';

/**
 * Payloads whose times count from their arrival (SenML relative times, or a mapping that reads `receivedAt`). The same
 * bytes sent again would become other records, so a retry would double. So the same bytes from the same key for the same
 * asset within ten minutes are taken for a retry: their times count from the first arrival. Later they are a new
 * reading, since a sensor whose value stands still sends the same bytes for ever. An `Idempotency-Key` tells the two apart
 * at any time: its retries never get here, so what comes with one is a reading of its own. Assumes one mapper at a time. Fails as the transaction fails.
 */
export const REPEAT_WINDOW_MS = 10 * 60_000;

export interface ArrivalKey {
  readonly keyId: string;
  readonly assetName: string;
  readonly digest: Buffer;
}

export interface Arrival extends ArrivalKey {
  readonly envelopeId: string;
  readonly receivedAtMs: number;
}

/** Gives each of these envelopes the clock of the first arrival of its bytes; `remap` maps one again by that clock.
 * `keyed` has the ids of those that came with an Idempotency-Key. */
export async function settleArrivals(
  trx: Kysely<Schema>,
  batch: readonly MappedEnvelope[],
  keyed: ReadonlySet<string>,
  remap: (envelope: Envelope, receivedAtMs: number) => MappedEnvelope,
): Promise<MappedEnvelope[]> {
  const dependent = batch.filter((mapped) => mapped.dependsOnArrival).map(({ envelope }) => arrivalOf(envelope));
  if (dependent.length === 0) return [...batch];
  const known = new Map((await store.selectArrivals(trx, dependent)).map((arrival) => [nameOf(arrival), arrival]));
  const repeats = await store.selectRepeats(trx, dependent);
  const fresh = new Map<string, Arrival>();
  for (const arrival of dependent) {
    const first = known.get(nameOf(arrival));
    // Mapped before: it keeps the clock that it was given then.
    if (repeats.has(arrival.envelopeId) || first?.envelopeId === arrival.envelopeId) continue;
    const laterMs = first === undefined ? Number.POSITIVE_INFINITY : arrival.receivedAtMs - first.receivedAtMs;
    const isWithin = laterMs >= 0 && laterMs <= REPEAT_WINDOW_MS;
    if (first !== undefined && isWithin && !keyed.has(arrival.envelopeId)) {
      repeats.set(arrival.envelopeId, first.envelopeId);
    } else if (isWithin || laterMs > REPEAT_WINDOW_MS) {
      known.set(nameOf(arrival), arrival);
      fresh.set(nameOf(arrival), arrival);
    }
  }
  await store.writeArrivals(trx, [...fresh.values()]);
  return batch.map((mapped) => {
    const first = mapped.dependsOnArrival ? repeats.get(mapped.envelope.id) : undefined;
    return first === undefined ? mapped : { ...remap(mapped.envelope, uuidTimeMs(first)), repeats: first };
  });
}

function arrivalOf(envelope: Envelope): Arrival {
  const { keyId, asset, body, id: envelopeId, receivedAtMs } = envelope;
  const assetName = 'vin' in asset ? asset.vin : asset.plantId;
  return { keyId, assetName, digest: hash('sha256', body, 'buffer'), envelopeId, receivedAtMs };
}

function nameOf({ keyId, assetName, digest }: ArrivalKey): string {
  return `${keyId} ${assetName} ${digest.toString('base64')}`;
}
