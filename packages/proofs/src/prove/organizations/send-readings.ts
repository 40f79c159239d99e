import { randomInt } from 'node:crypto';
import { waitFor } from '../../rig/wait.ts';
import type { House } from './furnish.ts';
import { inParallel } from './http-client.ts';
import type { Things } from './make-things.ts';
import { type Office, SEND_WIDTH } from './office.ts';

/** A position as Traccar sends it. */
export function traccarBody(externalId: string): string {
  const at = new Date(Date.now() - randomInt(3_600_000)).toISOString();
  const position = {
    attributes: { motion: true },
    serverTime: at,
    deviceTime: at,
    fixTime: at,
    valid: true,
    latitude: 40,
    longitude: -86,
    altitude: 1,
    speed: 50,
    course: 1,
  };
  return JSON.stringify({ position, device: { uniqueId: externalId } });
}

async function post({ around }: Office, token: string, place: string, body: string, headers = {}) {
  return around.api.call('POST', `/telemetry/intake/${place}`, { token, headers, body: JSON.parse(body) });
}

/** One payload, sent with as many Idempotency-Keys as the others may try. */
export async function sendRepeated(
  office: Office,
  { trailers, devices }: Things,
  token: string,
): Promise<House['repeated']> {
  const vin: string = trailers[0].vin;
  const body = traccarBody(devices[0].externalId);
  const idempotencyKeys = Array.from({ length: office.around.repeats }, (_, n) => `repeat-${100 + n}-${office.marker}`);
  await inParallel(idempotencyKeys, SEND_WIDTH, async (key) => {
    await post(office, token, vin, body, { 'idempotency-key': key });
  });
  return { vin, idempotencyKeys, body };
}

export interface Read {
  readonly receipts: readonly string[];
  readonly records: readonly string[];
  /** Records of the plant that restricted keys may not see. */
  readonly hidden: readonly string[];
}

/** Three readings of each asset, sent and stored. */
export async function sendReadings(office: Office, { assets, devices, plants }: Things, token: string): Promise<Read> {
  const { api } = office.around;
  const sent = assets.flatMap((asset, n) =>
    Array.from({ length: 3 }, () => ({
      place: (asset.vin ?? `plants/${asset.id}`) as string,
      body: traccarBody(devices[n].externalId),
    })),
  );
  const receipts: string[] = [];
  const records: string[] = [];
  const hidden: string[] = [];
  await inParallel(sent, SEND_WIDTH, async ({ place, body }) => {
    const { receiptId } = await post(office, token, place, body);
    const receipt = await waitFor(
      'a receipt',
      async () => {
        const found = await api.call('GET', `/telemetry/receipts/${receiptId}`, { token });
        return found.status === 'queued' ? undefined : found;
      },
      { everyMs: 50 },
    );
    if (receipt.status !== 'processed') throw new Error(`a receipt that is not processed: ${JSON.stringify(receipt)}`);
    (place.endsWith(plants[1].id) ? hidden : records).push(...receipt.recordIds);
    receipts.push(receiptId);
  });
  return { receipts, records, hidden };
}
