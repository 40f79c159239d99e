import { type Caller, isAdmitted } from './callers.ts';
import { inParallel } from './http-client.ts';
import { type Keys, makeKeys } from './make-keys.ts';
import { makePeople, makeThings, type People, type Things } from './make-things.ts';
import { freshVin, freshWord } from './names.ts';
import { createOffice, type OrganizationName, SEND_WIDTH, type Surroundings } from './office.ts';
import type { Kind } from './operations.ts';
import { ownRequest, toRequest } from './own-request.ts';
import { type Read, sendReadings, sendRepeated } from './send-readings.ts';

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

export async function furnish(around: Surroundings, organization: OrganizationName): Promise<House> {
  const { id, slug, marker } = organization;
  const office = createOffice(around, organization);
  const things = await makeThings(office);
  const people = await makePeople(office);
  const keys = await makeKeys(office, things.plants);
  const repeated = await sendRepeated(office, things, keys.partnerToken);
  const read = await sendReadings(office, things, keys.partnerToken);
  const claimable = Array.from({ length: around.repeats }, freshVin);
  await inParallel(claimable, SEND_WIDTH, async (vin) => {
    await office.make('trailers', { vin, name: office.named('Claimable') });
  });
  const house = {
    id,
    slug,
    marker,
    own: ownNames(organization, { things, people, keys, read }),
    values: allNames(organization, { things, people, keys, read }),
    callers: [...people.callers, ...keys.callers],
    repeated,
    claimable,
    partnerToken: keys.partnerToken,
    hidden: { plant: things.plants[1].id as string, device: things.devices.at(-1).id as string, records: read.hidden },
    keys: { partner: keys.partner, customer: keys.customer },
  };
  const cursors = await readCursors(around, house);
  return {
    ...house,
    cursors: cursors.map(({ cursor }) => cursor),
    feedCursor: cursors.find(({ of }) => of.endsWith('/telemetry/feed'))!.cursor,
  };
}

interface Made {
  readonly things: Things;
  readonly people: People;
  readonly keys: Keys;
  readonly read: Read;
}

const idsOf = (things: readonly { id: string }[]) => things.map(({ id }) => id);

function allNames({ id, slug }: OrganizationName, { things, people, keys, read }: Made): House['values'] {
  const { fleets, trailers, units, plants, devices } = things;
  const { users, spare } = people;
  const vinsOf = (assets: readonly { vin: string }[]) => assets.map(({ vin }) => vin);
  const serials = units.map(({ serialNumber }): string => serialNumber);
  return {
    organization: [id, slug],
    slug: [slug],
    user: [...idsOf(users), spare.id],
    email: [...users.map(({ email }) => email), spare.email],
    fleet: idsOf(fleets),
    trailer: [...idsOf(trailers), ...vinsOf(trailers)],
    unit: [...idsOf(units), ...vinsOf(units), ...serials],
    serial: serials,
    vin: vinsOf([...trailers, ...units]),
    device: idsOf(devices),
    plant: idsOf(plants),
    key: keys.ids,
    receipt: read.receipts.slice(0, 6),
    record: read.records.slice(0, 6),
  };
}

function ownNames({ id, slug }: OrganizationName, { things, people, keys, read }: Made): House['own'] {
  const { fleets, trailers, units, plants, devices } = things;
  return {
    organization: id,
    slug,
    user: people.spare.id,
    email: people.spare.email,
    fleet: fleets[0].id,
    trailer: trailers[0].id,
    unit: units[0].id,
    serial: units[0].serialNumber,
    vin: trailers[0].vin,
    device: devices[0].id,
    plant: plants[0].id,
    key: keys.spareId,
    receipt: read.receipts[0]!,
    record: read.records[0]!,
  };
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
