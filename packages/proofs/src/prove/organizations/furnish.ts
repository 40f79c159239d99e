import { randomInt } from 'node:crypto';
import { waitFor } from '../../rig/wait.ts';
import { bearer, type Caller, deadCaller, isAdmitted, keyCaller, sessionCallers, tokenCaller } from './callers.ts';
import { type HttpClient, inParallel } from './http-client.ts';
import { freshVin, freshWord } from './names.ts';
import type { Kind, Operation } from './operations.ts';
import { ownRequest, toRequest } from './own-request.ts';

/**
 * Three organizations, each with the same things: people of every role, keys of every sort, fleets, vehicles, plants,
 * devices, and telemetry that was sent, mapped and stored. All made over the public API by the platform operator, as
 * an installation would be. Everything that has a name has its organization's marker in it.
 */
export interface House {
  readonly id: string;
  readonly slug: string;
  /** Stands in every name that was given here, and nowhere else. */
  readonly marker: string;
  /** What its own requests name. */
  readonly own: Readonly<Record<Kind, string>>;
  /** All there is that can be named, by what it is; ids, VINs, slugs, serial numbers and addresses. */
  readonly values: Readonly<Record<Kind, readonly string[]>>;
  /** A plant, its device and their records, which the restricted keys may not see. */
  readonly hidden: { readonly plant: string; readonly device: string; readonly records: readonly string[] };
  /** `next` of the organization's own pages, as far as there was a next page. */
  readonly cursors: readonly string[];
  readonly feedCursor: string;
  readonly callers: readonly Caller[];
  /** An API key of each audience, whose plaintext can be traded for tokens. */
  readonly keys: { readonly partner: string; readonly customer: string };
  readonly partnerToken: string;
  /** A payload that was sent with each of `idempotencyKeys`; whoever uses one of them again is to take the next. */
  readonly repeated: { readonly vin: string; readonly idempotencyKeys: string[]; readonly body: string };
  /**
   * VINs of trailers that nothing else names. Another organization may register one too (decision 0011) and then has a trailer
   * of that VIN; whoever registers one is to take the next.
   */
  readonly claimable: string[];
}

export const PASSWORD = 'correct horse battery';
export const CUSTOMER_SCOPES = [
  'fleets:read',
  'trailers:read',
  'devices:read',
  'deliversafe:read',
  'telemetry:read',
  'plants:read',
  'livefeed:connect',
];
const PARTNER_SCOPES = ['telemetry:write', 'product:traccar'];

export interface Api {
  /** The parsed body of a 2xx; throws on any other answer. */
  call(
    method: string,
    path: string,
    options?: { token?: string; headers?: Record<string, string>; body?: unknown },
  ): Promise<any>;
}

export function createApi(http: HttpClient): Api {
  return {
    async call(method, path, { token, headers = {}, body } = {}) {
      const answer = await http.send({
        method,
        path: `/api/v1${path}`,
        headers: {
          ...(token !== undefined && bearer(token)),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
      return answer.body === '' ? null : JSON.parse(answer.body);
    },
  };
}

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

export interface Surroundings {
  readonly api: Api;
  readonly http: HttpClient;
  readonly operations: readonly Operation[];
  /** The platform operator's session. */
  readonly root: string;
  /** How many Idempotency-Keys and VINs the others may try. */
  readonly repeats: number;
  readonly expireKey: (keyId: string) => Promise<void>;
}

export async function furnish(
  around: Surroundings,
  organization: { id: string; slug: string; marker: string },
): Promise<House> {
  const { api, root } = around;
  const { id, slug, marker } = organization;
  const base = `/organizations/${id}`;
  const make = (path: string, body: unknown) => api.call('POST', `${base}/${path}`, { token: root, body });
  const named = (what: string) => `${what} ${marker}`;

  const fleets = [await make('fleets', { name: named('North') }), await make('fleets', { name: named('South') })];
  const fleetId = fleets[0].id;
  const trailers = [];
  for (let n = 0; n < 3; n++)
    trailers.push(await make('trailers', { vin: freshVin(), name: named('Trailer'), fleetId }));
  const claimable = Array.from({ length: around.repeats }, freshVin);
  await inParallel(claimable, 8, async (vin) => void (await make('trailers', { vin, name: named('Claimable') })));
  const units = [];
  for (let n = 0; n < 2; n++) {
    const serialNumber = `serial-${n}-${marker}`;
    units.push(await make('deliversafe', { vin: freshVin(), name: named('Unit'), fleetId, serialNumber }));
  }
  const plants = [await make('plants', { name: named('Plant') }), await make('plants', { name: named('Hidden') })];
  const devices = [];
  for (const [n, asset] of [...trailers, ...units, ...plants].entries()) {
    const externalId = String(100_000_000_000_000 + randomInt(2 ** 40) + n);
    devices.push(await make('devices', { assetId: asset.id, product: 'traccar', externalId, kind: 'gateway' }));
  }

  const people = await Promise.all(
    ['VIEWER', 'OPERATOR', 'ADMIN'].map(async (role) => {
      const email = `${role.toLowerCase()}-${marker}@example.com`;
      const user = await make('users', { email, name: named('Person'), role, password: PASSWORD });
      return { user, callers: sessionCallers(role, await signIn(api, email)) };
    }),
  );
  const users = people.map(({ user }) => user);
  const callers: Caller[] = people.flatMap((person) => person.callers);
  const spare = await make('users', { email: `spare-${marker}@example.com`, name: named('Spare'), role: 'VIEWER' });
  const ended = await signIn(api, users[2].email);
  await api.call('POST', '/auth/sign-out', { token: ended });
  callers.push(
    deadCaller('ended session', ended),
    deadCaller('nobody'),
    deadCaller('forged token', `${ended.slice(0, -4)}AAAA`),
  );

  const keyIds: string[] = [];
  const issue = async (scopes: readonly string[], more: object = {}, partnerId = `partner-${marker}`) => {
    const made = await make('api-keys', { name: named('Key'), partnerId, scopes, ...more });
    keyIds.push(made.apiKey.id);
    const audience: 'partner' | 'customer' = made.apiKey.audience;
    const key: string = made.key;
    const token = (await api.call('POST', `/${audience}s/authenticate`, { headers: { 'x-api-key': key } }))
      .accessToken as string;
    return { id: made.apiKey.id as string, key, token };
  };
  const onlyPlant = { allowedPlantIds: [plants[0].id] };
  const partner = await issue(PARTNER_SCOPES);
  const customer = await issue(CUSTOMER_SCOPES);
  const second = ['telemetry:write', 'product:flespi'];
  const [flespi, partnerOfPlant, customerOfPlant, expired, revoked, ...single] = await Promise.all([
    issue(second, {}, `second-${marker}`),
    issue(PARTNER_SCOPES, onlyPlant),
    issue(CUSTOMER_SCOPES, onlyPlant),
    issue(CUSTOMER_SCOPES),
    issue(CUSTOMER_SCOPES),
    ...CUSTOMER_SCOPES.map((scope) => issue([scope])),
  ]);
  callers.push(
    tokenCaller('partner', 'traccar', partner.token, PARTNER_SCOPES),
    tokenCaller('partner', 'flespi', flespi.token, second),
    tokenCaller('partner', 'one plant', partnerOfPlant.token, PARTNER_SCOPES, true),
    tokenCaller('customer', 'full', customer.token, CUSTOMER_SCOPES),
    tokenCaller('customer', 'one plant', customerOfPlant.token, CUSTOMER_SCOPES, true),
    keyCaller('of a partner', partner.key, PARTNER_SCOPES),
    keyCaller('of a customer', customer.key, CUSTOMER_SCOPES),
    keyCaller('of one plant', customerOfPlant.key, CUSTOMER_SCOPES, true),
    ...single.map(({ token }, place) =>
      tokenCaller('customer', CUSTOMER_SCOPES[place]!, token, [CUSTOMER_SCOPES[place]!]),
    ),
  );
  await around.expireKey(expired.id);
  await api.call('DELETE', `${base}/api-keys/${revoked.id}`, { token: root });
  callers.push(deadCaller('expired key', expired.token), deadCaller('revoked key', revoked.token));
  const spareKey = await make('api-keys', { name: named('Spare'), partnerId: 'spare', scopes: ['fleets:read'] });

  const repeated = {
    vin: trailers[0].vin as string,
    idempotencyKeys: [] as string[],
    body: traccarBody(devices[0].externalId),
  };
  for (let n = 0; n < around.repeats; n++) repeated.idempotencyKeys.push(`repeat-${100 + n}-${marker}`);
  const send = (place: string, body: string, headers: Record<string, string> = {}) =>
    api.call('POST', `/telemetry/intake/${place}`, { token: partner.token, headers, body: JSON.parse(body) });
  await inParallel(
    repeated.idempotencyKeys,
    8,
    async (key) => void (await send(repeated.vin, repeated.body, { 'idempotency-key': key })),
  );
  const sent: { place: string; body: string }[] = [];
  for (const [n, asset] of [...trailers, ...units, ...plants].entries()) {
    for (let time = 0; time < 3; time++)
      sent.push({ place: asset.vin ?? `plants/${asset.id}`, body: traccarBody(devices[n].externalId) });
  }
  const receipts: string[] = [];
  const records: string[] = [];
  const hiddenRecords: string[] = [];
  await inParallel(sent, 8, async ({ place, body }) => {
    const accepted = await send(place, body);
    const receipt = await waitFor(
      'a receipt',
      async () => {
        const found = await api.call('GET', `/telemetry/receipts/${accepted.receiptId}`, { token: partner.token });
        return found.status === 'queued' ? undefined : found;
      },
      { everyMs: 50 },
    );
    if (receipt.status !== 'processed') throw new Error(`a receipt that is not processed: ${JSON.stringify(receipt)}`);
    (place.endsWith(plants[1].id) ? hiddenRecords : records).push(...receipt.recordIds);
    receipts.push(accepted.receiptId);
  });

  const ids = (things: readonly { id: string }[]) => things.map((thing) => thing.id);
  const vins = [...trailers, ...units].map(({ vin }): string => vin);
  const values: Record<Kind, readonly string[]> = {
    organization: [id, slug],
    slug: [slug],
    user: [...ids(users), spare.id],
    email: [...users.map(({ email }) => email), spare.email],
    fleet: ids(fleets),
    trailer: [...ids(trailers), ...trailers.map(({ vin }) => vin)],
    unit: [...ids(units), ...units.map(({ vin }) => vin), ...units.map(({ serialNumber }) => serialNumber)],
    serial: units.map(({ serialNumber }) => serialNumber),
    vin: vins,
    device: ids(devices),
    plant: ids(plants),
    key: [...keyIds, spareKey.apiKey.id],
    receipt: receipts.slice(0, 6),
    record: records.slice(0, 6),
  };
  const own: Record<Kind, string> = {
    ...{ organization: id, slug, user: spare.id, email: spare.email, fleet: fleets[0].id, trailer: trailers[0].id },
    ...{ unit: units[0].id, serial: units[0].serialNumber, vin: vins[0]!, device: devices[0].id, plant: plants[0].id },
    ...{ key: spareKey.apiKey.id, receipt: receipts[0]!, record: records[0]! },
  };
  const house = {
    ...{ id, slug, marker, own, values, callers, repeated, claimable, partnerToken: partner.token },
    hidden: { plant: plants[1].id as string, device: devices.at(-1).id as string, records: hiddenRecords },
    keys: { partner: partner.key, customer: customer.key },
  };
  const cursors = await readCursors(around, house);
  return {
    ...house,
    cursors: cursors.map(({ cursor }) => cursor),
    feedCursor: cursors.find(({ of }) => of.endsWith('/telemetry/feed'))!.cursor,
  };
}

export async function signIn(api: Api, email: string): Promise<string> {
  return (await api.call('POST', '/auth/sign-in', { body: { email, password: PASSWORD } })).accessToken;
}

/** The cursor to a second page of every list that has one. */
async function readCursors({ http, operations }: Surroundings, house: Omit<House, 'cursors' | 'feedCursor'>) {
  const cursors: { of: string; cursor: string }[] = [];
  for (const operation of operations.filter(({ takesCursor }) => takesCursor)) {
    const caller = house.callers.find((one) => isAdmitted(operation, one));
    if (caller === undefined) continue;
    const asked = ownRequest(operation, house);
    for (const path of 'id' in asked.path ? [asked.path, { ...asked.path, id: house.own.fleet }] : [asked.path]) {
      const answer = await http.send(
        toRequest(operation, { ...asked, path, query: { ...asked.query, take: '1' } }, caller),
      );
      const next: unknown = answer.status === 200 ? JSON.parse(answer.body).next : null;
      if (typeof next === 'string') cursors.push({ of: operation.path, cursor: next });
    }
  }
  return cursors;
}

/** The marker of a new organization. */
export function createMarker(): string {
  return freshWord();
}
