import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from '@bufbuild/protobuf';
import {
  LiveFeed,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { waitFor } from '../../rig/wait.ts';
import type { Caller } from './callers.ts';
import type { House } from './furnish.ts';
import { inParallel } from './http-client.ts';
import { differenceOf, findShown, type Secrets } from './judge.ts';
import { freshWord, nonexistentLike } from './names.ts';
import type { Api } from './office.ts';
import { hiddenVictim, type Victim, victimOf } from './probes.ts';
import { type Findings, type LeakKind, noteLeak } from './run-probes.ts';
import { traccarBody } from './send-readings.ts';

/**
 * The same for the stream: filters that name another organization's things and cursors that were another's end exactly
 * as those that name nothing do, and what streams of one organization carry while every organization's partners send
 * is its own.
 */
type Wanted = MessageInitShape<typeof SubscribeRequestSchema>;

export interface LiveParts {
  readonly port: number;
  readonly api: Api;
  readonly houses: readonly House[];
  readonly secretsOf: (house: House, victim: Victim) => Secrets;
  readonly findings: Findings;
  readonly probesMax: number;
  readonly random: () => number;
}

const WIDTH = 12;
const ROUNDS = 4;
const MAY_CONNECT = 'livefeed:connect';

/** Returns how many streams carried records, and how many records were looked at. */
export async function proveLive(parts: LiveParts): Promise<{ streams: number; records: number }> {
  const client = new Client(`127.0.0.1:${parts.port}`, credentials.createInsecure());
  try {
    await probeFilters(client, parts);
    return await watchStreams(client, parts);
  } finally {
    client.close();
  }
}

interface LiveProbe {
  readonly house: House;
  readonly caller: Caller;
  readonly victim: Victim;
  readonly slot: string;
  readonly value: string;
}

const SLOTS = { fleets: 'fleet', trailers: 'trailer', deliverSafe: 'unit', plants: 'plant' } as const;

async function probeFilters(
  client: Client,
  { houses, findings, probesMax, random, secretsOf }: LiveParts,
): Promise<void> {
  const probes: LiveProbe[] = [];
  for (const house of houses) {
    for (const caller of house.callers.filter(({ scheme }) => scheme !== 'session' && scheme !== 'apiKey')) {
      for (const victim of [...houses.filter((one) => one !== house).map(victimOf), hiddenVictim(house)]) {
        if (victim.organizationId === null && !caller.isRestricted) continue;
        const named = Object.entries(SLOTS).flatMap(([slot, kind]) =>
          (victim.values[kind] ?? []).map((value) => ({ slot, value })),
        );
        const mixed = (victim.values.fleet ?? []).flatMap((value) =>
          Object.keys(SLOTS).map((slot) => ({ slot, value })),
        );
        const cursors = victim.cursors.map((value) => ({ slot: 'cursor', value }));
        const all = [...named, ...mixed, ...cursors].map((one) => ({ house, caller, victim, ...one }));
        // Whoever may not connect is refused before anything is looked at; two tries show it.
        probes.push(...(caller.grants.includes(MAY_CONNECT) ? all : all.slice(0, 2)));
      }
    }
  }
  shuffle(probes, random);
  await inParallel(probes.slice(0, probesMax), WIDTH, async ({ house, caller, victim, slot, value }) => {
    const wanted = (text: string): Wanted => (slot === 'cursor' ? { cursor: text } : { filter: { [slot]: [text] } });
    const nonexistent = nonexistentLike(value);
    const foreign = await firstOf(client, wanted(value), caller);
    const twin = await firstOf(client, wanted(nonexistent), caller);
    const difference = differenceOf({ text: foreign, sent: [value] }, { text: twin, sent: [nonexistent] });
    findings.probes += 1;
    findings.twins += 1;
    const tell = (kind: LeakKind, what: string) =>
      noteLeak(
        findings,
        kind,
        `LiveFeed: ${caller.name} of ${house.slug}, ${slot} ${value.slice(0, 60)} of ${victim.name}: ${what}`,
      );
    const shown = findShown(foreign, secretsOf(house, victim), [value]);
    if (shown !== undefined) tell('shown', `shows ${shown}`);
    else if (difference !== undefined) tell('different', difference);
    else if (foreign === 'open' && !caller.grants.includes(MAY_CONNECT)) tell('admitted', 'let in without the scope');
  });
}

/** A server that is busy says so and is asked again, as by any client. */
const TRIES_MAX = 5;

/** `open` when something comes, else how the stream ended. */
async function firstOf(client: Client, wanted: Wanted, caller: Caller): Promise<string> {
  for (let tries = 1; ; tries++) {
    const first = await new Promise<{ isBusy: boolean; text: string }>((resolve) => {
      const stream = subscribe(client, wanted, caller);
      stream.on('error', () => {});
      stream.on('data', () => {
        resolve({ isBusy: false, text: 'open' });
        stream.cancel();
      });
      stream.on('status', ({ code, details, metadata }: StatusObject) => {
        const text = `${status[code]} ${metadata.get('gladhand-error-code')[0] ?? ''} ${details}`;
        resolve({ isBusy: code === status.UNAVAILABLE, text });
      });
    });
    if (!first.isBusy || tries === TRIES_MAX) return first.text;
  }
}

function subscribe(client: Client, wanted: Wanted, caller: Caller): ClientReadableStream<SubscribeResponse> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(caller.headers)) if (name === 'authorization') metadata.set(name, value);
  return client.makeServerStreamRequest(
    `/${LiveFeed.typeName}/${LiveFeed.method.subscribe.name}`,
    (request: MessageInitShape<typeof SubscribeRequestSchema>) =>
      Buffer.from(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, request))),
    (bytes: Buffer) => fromBinary(SubscribeResponseSchema, bytes),
    wanted,
    metadata,
  );
}

interface Watched {
  readonly house: House;
  readonly victims: readonly Victim[];
  readonly name: string;
  readonly messages: SubscribeResponse[];
  ending: string | null;
  cancel: () => void;
}

function follow(client: Client, wanted: Wanted, caller: Caller, into: Watched, tries = 1): void {
  const stream = subscribe(client, wanted, caller);
  into.cancel = () => stream.cancel();
  stream.on('data', (message: SubscribeResponse) => into.messages.push(message));
  stream.on('error', (error: ServiceError) => {
    const isBusy = error.code === status.UNAVAILABLE && into.messages.length === 0 && tries < TRIES_MAX;
    if (isBusy) follow(client, wanted, caller, into, tries + 1);
    else into.ending = error.message;
  });
}

async function watchStreams(
  client: Client,
  { houses, api, secretsOf, findings }: LiveParts,
): Promise<{ streams: number; records: number }> {
  const watched: Watched[] = houses.flatMap((house) =>
    house.callers
      .filter(({ grants }) => grants.includes(MAY_CONNECT))
      .filter(({ scheme }) => scheme === 'customerToken')
      .flatMap((caller) => {
        const others = houses.filter((one) => one !== house).map(victimOf);
        const victims = caller.isRestricted ? [...others, hiddenVictim(house)] : others;
        const starts: Record<string, Wanted> = {
          'from now': {},
          'from a cursor': { cursor: house.feedCursor },
          'with a snapshot': { snapshot: true },
          'of a fleet': { cursor: house.feedCursor, filter: { fleets: [house.own.fleet] } },
        };
        // Only what carries records counts as watched; this scope alone sees everything that telemetry:read sees.
        return Object.entries(starts).map(([start, wanted]) => {
          const one: Watched = {
            house,
            victims,
            name: `${caller.name} ${start}`,
            messages: [],
            ending: null,
            cancel: () => {},
          };
          follow(client, wanted, caller, one);
          return one;
        });
      }),
  );
  try {
    const allOf = (test: (one: Watched) => boolean) => () => {
      const ended = watched.find(({ ending }) => ending !== null);
      if (ended !== undefined)
        throw new Error(`the stream ${ended.name} of ${ended.house.slug} ended: ${ended.ending}`);
      return watched.every(test) || undefined;
    };
    await waitFor(
      'every stream to begin',
      allOf(({ messages }) => messages.length > 0),
    );
    for (let round = 0; round < ROUNDS; round++) {
      await inParallel(houses, houses.length, async (house) => {
        for (const place of [...house.values.vin, `plants/${house.own.plant}`, `plants/${house.hidden.plant}`]) {
          const options = { token: house.partnerToken, body: JSON.parse(traccarBody(freshWord())) };
          await api.call('POST', `/telemetry/intake/${place}`, options);
        }
      });
    }
    const carries = ({ messages }: Watched) => messages.some(({ event }) => event.case === 'records');
    await waitFor('every stream to carry records', allOf(carries));
    let records = 0;
    for (const { house, victims, name, messages } of watched) {
      findings.probes += 1;
      for (const message of messages) {
        if (message.event.case === 'records') records += message.event.value.records.length;
        const text = toJsonString(SubscribeResponseSchema, message);
        for (const victim of victims) {
          const shown = findShown(text, secretsOf(house, victim), []);
          if (shown !== undefined)
            noteLeak(findings, 'shown', `LiveFeed: ${name} of ${house.slug} carries ${shown} of ${victim.name}`);
        }
      }
    }
    return { streams: watched.length, records };
  } finally {
    for (const { cancel } of watched) cancel();
  }
}

export function shuffle(items: unknown[], random: () => number): void {
  for (let last = items.length - 1; last > 0; last--) {
    const place = Math.floor(random() * (last + 1));
    [items[last], items[place]] = [items[place], items[last]];
  }
}
