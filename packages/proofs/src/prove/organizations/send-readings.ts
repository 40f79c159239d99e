import { randomInt } from 'node:crypto';
import { waitFor } from '../../rig/wait.ts';
import type { SampleOrganization } from './create-organization.ts';
import { inParallel } from './http-client.ts';
import type { Things } from './make-things.ts';
import { type OrganizationMaker, SEND_WIDTH } from './organization-maker.ts';

/** A position in the Traccar format, as JSON text. */
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

async function post({ around }: OrganizationMaker, token: string, place: string, body: string, headers = {}) {
  return around.api.call('POST', `/telemetry/intake/${place}`, { token, headers, body: JSON.parse(body) });
}

/** Sends one payload with many Idempotency-Keys: as many as other organizations may use up. */
export async function sendRepeated(
  maker: OrganizationMaker,
  { trailers, devices }: Things,
  token: string,
): Promise<SampleOrganization['repeated']> {
  const vin: string = trailers[0].vin;
  const body = traccarBody(devices[0].externalId);
  const idempotencyKeys = Array.from({ length: maker.around.repeats }, (_, n) => `repeat-${100 + n}-${maker.marker}`);
  await inParallel(idempotencyKeys, SEND_WIDTH, async (key) => {
    await post(maker, token, vin, body, { 'idempotency-key': key });
  });
  return { vin, idempotencyKeys, body };
}

export interface Read {
  readonly receipts: readonly string[];
  readonly records: readonly string[];
  /** Record ids of the plant that restricted keys may not see. */
  readonly hidden: readonly string[];
}

/** Sends three readings of each asset and waits until they are stored. */
export async function sendReadings(
  maker: OrganizationMaker,
  { assets, devices, plants }: Things,
  token: string,
): Promise<Read> {
  const { api } = maker.around;
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
    const { receiptId } = await post(maker, token, place, body);
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
