import { type Caller, isAdmitted } from './callers.ts';
import { inParallel } from './http-client.ts';
import { type Keys, makeKeys } from './make-keys.ts';
import { makePeople, makeThings, type People, type Things } from './make-things.ts';
import { freshVin, freshWord } from './names.ts';
import type { Kind } from './operations.ts';
import { createOrganizationMaker, type OrganizationName, SEND_WIDTH, type Surroundings } from './organization-maker.ts';
import { ownRequest, toRequest } from './own-request.ts';
import { type Read, sendReadings, sendRepeated } from './send-readings.ts';

/**
 * Creates three organizations with the same kinds of data: users of every role, keys of every kind, fleets, vehicles,
 * plants, devices, and telemetry that is sent, mapped and stored. The platform operator creates all of it over the public
 * API. Every name contains the marker of its organization.
 */
export interface SampleOrganization {
  readonly id: string;
  readonly slug: string;
  /** A text in every name of this organization, and nowhere else. */
  readonly marker: string;
  /** The values that its own requests use, one per kind. */
  readonly own: Readonly<Record<Kind, string>>;
  /** All values that a request could name, by kind: ids, VINs, slugs, serial numbers and addresses. */
  readonly values: Readonly<Record<Kind, readonly string[]>>;
  /** A plant, its device and their records. Keys that are restricted to the other plant may not see them. */
  readonly hidden: { readonly plant: string; readonly device: string; readonly records: readonly string[] };
  /** The `next` cursors of the organization's own pages. */
  readonly cursors: readonly string[];
  readonly feedCursor: string;
  readonly callers: readonly Caller[];
  /** An API key for each audience, in plain text, to exchange for tokens. */
  readonly keys: { readonly partner: string; readonly customer: string };
  readonly partnerToken: string;
  /** A payload that was sent with each of `idempotencyKeys`. A probe removes the key that it uses from the list. */
  readonly repeated: { readonly vin: string; readonly idempotencyKeys: string[]; readonly body: string };
  /**
   * VINs of trailers that nothing else names. Another organization may register such a VIN too (decision 0011). A probe
   * removes the VIN that it registers from the list.
   */
  readonly claimable: string[];
}

export async function createOrganization(
  around: Surroundings,
  organization: OrganizationName,
): Promise<SampleOrganization> {
  const { id, slug, marker } = organization;
  const maker = createOrganizationMaker(around, organization);
  const things = await makeThings(maker);
  const people = await makePeople(maker);
  const keys = await makeKeys(maker, things.plants);
  const repeated = await sendRepeated(maker, things, keys.partnerToken);
  const read = await sendReadings(maker, things, keys.partnerToken);
  const claimable = Array.from({ length: around.repeats }, freshVin);
  await inParallel(claimable, SEND_WIDTH, async (vin) => {
    await maker.make('trailers', { vin, name: maker.named('Claimable') });
  });
  const sample = {
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
  const cursors = await readCursors(around, sample);
  return {
    ...sample,
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

function allNames({ id, slug }: OrganizationName, { things, people, keys, read }: Made): SampleOrganization['values'] {
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

function ownNames({ id, slug }: OrganizationName, { things, people, keys, read }: Made): SampleOrganization['own'] {
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

/** Reads the cursor of the second page of every list that has one. */
async function readCursors(
  { http, operations }: Surroundings,
  sample: Omit<SampleOrganization, 'cursors' | 'feedCursor'>,
) {
  const cursors: { of: string; cursor: string }[] = [];
  for (const operation of operations.filter(({ takesCursor }) => takesCursor)) {
    const caller = sample.callers.find((one) => isAdmitted(operation, one));
    if (caller === undefined) continue;
    const asked = ownRequest(operation, sample);
    for (const path of 'id' in asked.path ? [asked.path, { ...asked.path, id: sample.own.fleet }] : [asked.path]) {
      const answer = await http.send(
        toRequest(operation, { ...asked, path, query: { ...asked.query, take: '1' } }, caller),
      );
      const next: unknown = answer.status === 200 ? JSON.parse(answer.body).next : null;
      if (typeof next === 'string') cursors.push({ of: operation.path, cursor: next });
    }
  }
  return cursors;
}

/** Makes the marker of a new organization. */
export function createMarker(): string {
  return freshWord();
}
