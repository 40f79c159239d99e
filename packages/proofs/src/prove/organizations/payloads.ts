import { say } from '../../rig/report.ts';
import { waitFor } from '../../rig/wait.ts';
import { bearer } from './callers.ts';
import type { House } from './furnish.ts';
import { type HttpClient, inParallel } from './http-client.ts';
import { freshVin } from './names.ts';
import type { Api } from './office.ts';
import { composePayload, PAYLOAD_PRODUCTS, type PayloadProduct, type Vehicle } from './payload-forms.ts';
import { type Findings, noteLeak } from './run-probes.ts';

/**
 * Payloads of one organization that name vehicles of another, spoilt in one place. An operator's partner may send for
 * both, so one payload has readings of both: a reading stored for another vehicle than the one it names is a leak. Each
 * vehicle's readings have a number of its own, by which a stored one is known again. A fleet's own partner may send for its
 * own vehicles alone; whatever it sends, the other's rows stay as they are (the caller compares them).
 */
export interface PayloadParts {
  readonly api: Api;
  readonly http: HttpClient;
  /** The platform operator's session. */
  readonly root: string;
  readonly houses: readonly House[];
  readonly findings: Findings;
  readonly random: () => number;
  /** Runs the work of a house; whatever row of another one is different afterwards is a leak. */
  keepingRows(house: House, work: () => Promise<void>): Promise<void>;
}

export interface PayloadOutcome {
  readonly payloads: number;
  /** Readings that were stored and are known by their number. */
  readonly readings: number;
  /** Payloads that were refused at the door. */
  readonly refused: number;
  /** Whether a reading that was sent under a wrong name on purpose was seen. */
  readonly isControlFound: boolean;
}

const WIDTH = 16;
/** One VIN takes so many payloads a window in the first pass; the proof asks for what it needs. */
const REQUESTS_MAX = 1_000_000;

export async function provePayloads(parts: PayloadParts, count: number): Promise<PayloadOutcome> {
  const { api, root, houses, random, keepingRows } = parts;
  for (const product of PAYLOAD_PRODUCTS)
    await api.call('PUT', `/products/${product}/limit`, {
      token: root,
      body: { limit: REQUESTS_MAX, windowSeconds: 60 },
    });
  // Vehicles of its own: those that the probes name may have been registered by both meanwhile.
  const fleets = new Map<House, string[]>();
  for (const house of houses.slice(0, 2)) fleets.set(house, await registerVehicles(parts, house));
  const coded = [...fleets.values()].flat().map((vin, place): Vehicle => ({ vin, code: CODE_FIRST + place }));
  let refused = 0;
  const share = Math.ceil(count / houses.length);
  const sendAll = async (house: House) => {
    const senders = await sendersOf(parts, house, fleets.get(house) ?? coded.map(({ vin }) => vin));
    say(`${share} spoilt payloads by the partners of ${house.slug}`);
    const jobs = Array.from({ length: share }, (_, place) => senders[place % senders.length]!);
    await inParallel(jobs, WIDTH, async (sender) => {
      const path = sender.paths[Math.floor(random() * sender.paths.length)]!;
      if ((await send(parts, sender, path, composePayload(sender.product, coded, random))) !== 202) refused += 1;
    });
    await drained(parts.http);
    return senders;
  };
  const [one, two, operator] = houses as [House, House, House];
  for (const house of [one, two]) await keepingRows(house, async () => void (await sendAll(house)));
  const [control] = await sendAll(operator);
  const { known, mixed } = await judge(parts, fleets, coded);
  for (const text of mixed) noteLeak(parts.findings, 'changed', text);
  await plantControl(parts, control!, coded);
  const isControlFound = (await judge(parts, fleets, coded)).mixed.length === mixed.length + 1;
  return { payloads: share * houses.length, readings: known, refused, isControlFound };
}

interface Sender {
  readonly product: PayloadProduct;
  readonly token: string;
  /** VINs it sends to; a fleet's partner names its own there. */
  readonly paths: readonly string[];
}

const VEHICLES = 3;

async function registerVehicles({ api, root }: PayloadParts, house: House): Promise<string[]> {
  const vins = Array.from({ length: VEHICLES }, freshVin);
  for (const vin of vins)
    await api.call('POST', `/organizations/${house.id}/trailers`, {
      token: root,
      body: { vin, name: `Payloads ${vin}` },
    });
  return vins;
}

async function sendersOf({ api, root }: PayloadParts, house: House, paths: readonly string[]): Promise<Sender[]> {
  return Promise.all(
    PAYLOAD_PRODUCTS.map(async (product) => {
      const body = {
        name: `Payloads ${house.marker}`,
        partnerId: `payloads-${house.marker}`,
        scopes: ['telemetry:write', `product:${product}`],
      };
      const { key } = await api.call('POST', `/organizations/${house.id}/api-keys`, { token: root, body });
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

/** Codes are whole percents, far from the numbers that values are spoilt with. */
const CODE_FIRST = 21;
const CODED = ['environment.humidityPct', 'power.batterySocPct', 'reefer.fuelPct', 'gps.speedKph'];

/** Walks both feeds: how many readings were known, and those that stand at another vehicle, in words. */
async function judge(
  parts: PayloadParts,
  fleets: ReadonlyMap<House, readonly string[]>,
  coded: readonly Vehicle[],
): Promise<{ known: number; mixed: string[] }> {
  let known = 0;
  const mixed: string[] = [];
  for (const [house, own] of fleets) {
    const vins = await vinsOf(parts, house, own);
    for await (const record of feedOf(parts, house)) {
      for (const value of codesIn(record.signals)) {
        const vehicle = coded.find(({ code }) => code === value);
        if (vehicle === undefined) continue;
        known += 1;
        const vin = vins.get(record.assetId);
        if (vin !== vehicle.vin) mixed.push(`${value} of ${vehicle.vin} stands at ${vin}: ${JSON.stringify(record)}`);
      }
    }
  }
  return { known, mixed };
}

function codesIn(signals: Record<string, Record<string, unknown>>): unknown[] {
  return CODED.map((metric) => metric.split('.') as [string, string]).map(([group, name]) => signals[group]?.[name]);
}

/** Sends a reading under a wrong name: the judge has to see it, or it sees nothing. */
async function plantControl(parts: PayloadParts, sender: Sender, coded: readonly Vehicle[]): Promise<void> {
  const { vin } = coded[0]!;
  const wrong = [{ vin, code: coded[3]!.code }];
  await send(
    parts,
    sender,
    vin,
    composePayload(sender.product, wrong, () => 0.999),
  );
  await drained(parts.http);
}

async function customerToken({ api }: PayloadParts, house: House): Promise<string> {
  return (await api.call('POST', '/customers/authenticate', { headers: { 'x-api-key': house.keys.customer } }))
    .accessToken;
}

async function vinsOf(parts: PayloadParts, house: House, own: readonly string[]): Promise<Map<string, string>> {
  const token = await customerToken(parts, house);
  const vins = new Map<string, string>();
  for (const vin of own) {
    const { data } = await parts.api.call('GET', `/telemetry/latest?trailer=${vin}`, { token });
    for (const asset of data) vins.set(asset.assetId, asset.vin);
  }
  return vins;
}

async function* feedOf(parts: PayloadParts, house: House): AsyncGenerator<any> {
  const token = await customerToken(parts, house);
  let next = '';
  for (;;) {
    const page = await parts.api.call('GET', `/telemetry/feed?take=500${next}`, { token });
    yield* page.data;
    if (page.caughtUp) return;
    next = `&next=${page.next}`;
  }
}

function drained(http: HttpClient): Promise<true> {
  return waitFor(
    'the spoilt payloads to be mapped',
    async () => {
      const { body } = await http.send({ method: 'GET', path: '/metrics', headers: {} });
      return /^gladhand_intake_backlog_envelopes 0$/m.test(body) || undefined;
    },
    { everyMs: 100 },
  );
}
