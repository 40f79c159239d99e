import { say } from '../../rig/report.ts';
import { bearer } from './callers.ts';
import type { SampleOrganization } from './create-organization.ts';
import { drain } from './drain.ts';
import { type HttpClient, inParallel } from './http-client.ts';
import { freshVin } from './names.ts';
import type { Api } from './organization-maker.ts';
import { composePayload, PAYLOAD_PRODUCTS, type PayloadProduct, type Vehicle } from './payload-forms.ts';
import { type Findings, noteLeak } from './run-probes.ts';

/**
 * Sends payloads that are damaged in one place and name vehicles of two organizations.
 *
 * The operator's partner may send for both. A reading that is stored for another vehicle than it names is a leak. Each
 * vehicle has its own number in its readings, so that a stored reading can be assigned to it.
 *
 * A customer's own partner may send only for that customer's vehicles. Rows of the other organization must not change; the
 * caller compares them.
 */
export interface PayloadParts {
  readonly api: Api;
  readonly http: HttpClient;
  /** The session token of the platform operator. */
  readonly root: string;
  readonly samples: readonly SampleOrganization[];
  readonly findings: Findings;
  readonly random: () => number;
  /** Runs work for one organization. If a row of another organization has changed afterwards, that is a leak. */
  keepingRows(sample: SampleOrganization, work: () => Promise<void>): Promise<void>;
}

export interface PayloadOutcome {
  readonly payloads: number;
  /** Stored readings that were identified by their number. */
  readonly readings: number;
  /** Payloads that intake refused. */
  readonly refused: number;
  /** Whether the check found a reading that was sent for a wrong vehicle on purpose. */
  readonly isControlFound: boolean;
}

const WIDTH = 16;
/** Limit of payloads per VIN and window during this part. It is so high that the proof never reaches it. */
const REQUESTS_MAX = 1_000_000;

export async function provePayloads(parts: PayloadParts, count: number): Promise<PayloadOutcome> {
  const { api, root, samples, random, keepingRows } = parts;
  for (const product of PAYLOAD_PRODUCTS)
    await api.call('PUT', `/products/${product}/limit`, {
      token: root,
      body: { limit: REQUESTS_MAX, windowSeconds: 60 },
    });
  // New vehicles, because both organizations may have registered the vehicles that the probes name.
  const fleets = new Map<SampleOrganization, string[]>();
  for (const sample of samples.slice(0, 2)) fleets.set(sample, await registerVehicles(parts, sample));
  const coded = [...fleets.values()].flat().map((vin, place): Vehicle => ({ vin, code: CODE_FIRST + place }));
  let refused = 0;
  const share = Math.ceil(count / samples.length);
  const sendAll = async (sample: SampleOrganization) => {
    const senders = await sendersOf(parts, sample, fleets.get(sample) ?? coded.map(({ vin }) => vin));
    say(`${share} damaged payloads by the partners of ${sample.slug}`);
    const jobs = Array.from({ length: share }, (_, place) => senders[place % senders.length]!);
    await inParallel(jobs, WIDTH, async (sender) => {
      const path = sender.paths[Math.floor(random() * sender.paths.length)]!;
      if ((await send(parts, sender, path, composePayload(sender.product, coded, random))) !== 202) refused += 1;
    });
    await drain(parts.http);
    return senders;
  };
  const [one, two, operator] = samples as [SampleOrganization, SampleOrganization, SampleOrganization];
  for (const sample of [one, two]) await keepingRows(sample, async () => void (await sendAll(sample)));
  const [control] = await sendAll(operator);
  const { known, mixed } = await judge(parts, fleets, coded);
  for (const text of mixed) noteLeak(parts.findings, 'changed', text);
  await plantControl(parts, control!, coded);
  const isControlFound = (await judge(parts, fleets, coded)).mixed.length === mixed.length + 1;
  return { payloads: share * samples.length, readings: known, refused, isControlFound };
}

interface Sender {
  readonly product: PayloadProduct;
  readonly token: string;
  /** VINs for the request path. A customer's partner uses only its own. */
  readonly paths: readonly string[];
}

const VEHICLES = 3;

async function registerVehicles({ api, root }: PayloadParts, sample: SampleOrganization): Promise<string[]> {
  const vins = Array.from({ length: VEHICLES }, freshVin);
  for (const vin of vins)
    await api.call('POST', `/organizations/${sample.id}/trailers`, {
      token: root,
      body: { vin, name: `Payloads ${vin}` },
    });
  return vins;
}

async function sendersOf(
  { api, root }: PayloadParts,
  sample: SampleOrganization,
  paths: readonly string[],
): Promise<Sender[]> {
  return Promise.all(
    PAYLOAD_PRODUCTS.map(async (product) => {
      const body = {
        name: `Payloads ${sample.marker}`,
        partnerId: `payloads-${sample.marker}`,
        scopes: ['telemetry:write', `product:${product}`],
      };
      const { key } = await api.call('POST', `/organizations/${sample.id}/api-keys`, { token: root, body });
      const { accessToken } = await api.call('POST', '/partners/authenticate', { headers: { 'x-api-key': key } });
      return { product, token: accessToken, paths };
    }),
  );
}

async function send({ http }: PayloadParts, sender: Sender, vin: string, payload: unknown): Promise<number> {
  const headers = { ...bearer(sender.token), 'content-type': 'application/json' };
  const answer = await http.send({
    method: 'POST',
    path: `/api/v1/telemetry/intake/${vin}`,
    headers,
    body: JSON.stringify(payload),
  });
  return answer.status;
}

/** Codes are integer percentages, and differ from the numbers that damage puts into a payload. */
const CODE_FIRST = 21;
const CODED = ['environment.humidityPct', 'power.batterySocPct', 'reefer.fuelPct', 'gps.speedKph'];

/** Reads both feeds. Returns the number of identified readings, and a sentence for each at a wrong vehicle. */
async function judge(
  parts: PayloadParts,
  fleets: ReadonlyMap<SampleOrganization, readonly string[]>,
  coded: readonly Vehicle[],
): Promise<{ known: number; mixed: string[] }> {
  let known = 0;
  const mixed: string[] = [];
  for (const [sample, own] of fleets) {
    const vins = await vinsOf(parts, sample, own);
    for await (const record of feedOf(parts, sample)) {
      for (const value of codesIn(record.signals)) {
        const vehicle = coded.find(({ code }) => code === value);
        if (vehicle === undefined) continue;
        known += 1;
        const vin = vins.get(record.assetId);
        if (vin !== vehicle.vin)
          mixed.push(`${value} of ${vehicle.vin} is stored for ${vin}: ${JSON.stringify(record)}`);
      }
    }
  }
  return { known, mixed };
}

function codesIn(signals: Record<string, Record<string, unknown>>): unknown[] {
  return CODED.map((metric) => metric.split('.') as [string, string]).map(([group, name]) => signals[group]?.[name]);
}

/** Sends a reading for a wrong vehicle on purpose. If the check does not find it, the check is worthless. */
async function plantControl(parts: PayloadParts, sender: Sender, coded: readonly Vehicle[]): Promise<void> {
  const { vin } = coded[0]!;
  const wrong = [{ vin, code: coded[3]!.code }];
  await send(
    parts,
    sender,
    vin,
    composePayload(sender.product, wrong, () => 0.999),
  );
  await drain(parts.http);
}

async function customerToken({ api }: PayloadParts, sample: SampleOrganization): Promise<string> {
  return (await api.call('POST', '/customers/authenticate', { headers: { 'x-api-key': sample.keys.customer } }))
    .accessToken;
}

async function vinsOf(
  parts: PayloadParts,
  sample: SampleOrganization,
  own: readonly string[],
): Promise<Map<string, string>> {
  const token = await customerToken(parts, sample);
  const vins = new Map<string, string>();
  for (const vin of own) {
    const { data } = await parts.api.call('GET', `/telemetry/latest?trailer=${vin}`, { token });
    for (const asset of data) vins.set(asset.assetId, asset.vin);
  }
  return vins;
}

async function* feedOf(parts: PayloadParts, sample: SampleOrganization): AsyncGenerator<any> {
  const token = await customerToken(parts, sample);
  let next = '';
  for (;;) {
    const page = await parts.api.call('GET', `/telemetry/feed?take=500${next}`, { token });
    yield* page.data;
    if (page.caughtUp) return;
    next = `&next=${page.next}`;
  }
}
