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
import type { SampleOrganization } from './create-organization.ts';
import { differenceOf, findShown, type Secrets } from './find-leak.ts';
import { inParallel } from './http-client.ts';
import { freshWord, nonexistentLike } from './names.ts';
import type { Api } from './organization-maker.ts';
import { hiddenVictim, type Victim, victimOf } from './probes.ts';
import { type Findings, type LeakKind, noteLeak } from './run-probes.ts';
import { traccarBody } from './send-readings.ts';

/**
 * The same proof for LiveFeed. A filter or cursor of another organization must end the stream exactly as one that does not
 * exist. While the partners of all organizations send, a stream must carry only records of its own organization.
 */
type Wanted = MessageInitShape<typeof SubscribeRequestSchema>;

export interface LiveParts {
  readonly port: number;
  readonly api: Api;
  readonly samples: readonly SampleOrganization[];
  readonly secretsOf: (sample: SampleOrganization, victim: Victim) => Secrets;
  readonly findings: Findings;
  readonly probesMax: number;
  readonly random: () => number;
}

const WIDTH = 12;
const ROUNDS = 4;
const MAY_CONNECT = 'livefeed:connect';

/** Returns how many streams carried records, and how many records were checked. */
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
  readonly sample: SampleOrganization;
  readonly caller: Caller;
  readonly victim: Victim;
  readonly slot: string;
  readonly value: string;
}

const SLOTS = { fleets: 'fleet', trailers: 'trailer', deliverSafe: 'unit', plants: 'plant' } as const;

async function probeFilters(
  client: Client,
  { samples, findings, probesMax, random, secretsOf }: LiveParts,
): Promise<void> {
  const probes: LiveProbe[] = [];
  for (const sample of samples) {
    for (const caller of sample.callers.filter(({ scheme }) => scheme !== 'session' && scheme !== 'apiKey')) {
      for (const victim of [...samples.filter((one) => one !== sample).map(victimOf), hiddenVictim(sample)]) {
        if (victim.organizationId === null && !caller.isRestricted) continue;
        const named = Object.entries(SLOTS).flatMap(([slot, kind]) =>
          (victim.values[kind] ?? []).map((value) => ({ slot, value })),
        );
        const mixed = (victim.values.fleet ?? []).flatMap((value) =>
          Object.keys(SLOTS).map((slot) => ({ slot, value })),
        );
        const cursors = victim.cursors.map((value) => ({ slot: 'cursor', value }));
        const all = [...named, ...mixed, ...cursors].map((one) => ({ sample, caller, victim, ...one }));
        // A caller without the scope is refused before its request is read, so two probes are enough.
        probes.push(...(caller.grants.includes(MAY_CONNECT) ? all : all.slice(0, 2)));
      }
    }
  }
  shuffle(probes, random);
  await inParallel(probes.slice(0, probesMax), WIDTH, async ({ sample, caller, victim, slot, value }) => {
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
        `LiveFeed: ${caller.name} of ${sample.slug}, ${slot} ${value.slice(0, 60)} of ${victim.name}: ${what}`,
      );
    const shown = findShown(foreign, secretsOf(sample, victim), [value]);
    if (shown !== undefined) tell('shown', `shows ${shown}`);
    else if (difference !== undefined) tell('different', difference);
    else if (foreign === 'open' && !caller.grants.includes(MAY_CONNECT)) tell('admitted', 'admitted without the scope');
  });
}

/** Attempts per probe. A busy server refuses, and the probe tries again, as any client does. */
const TRIES_MAX = 5;

/** Returns `open` if the stream carries a message, or else how it ended. */
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
  readonly sample: SampleOrganization;
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
  { samples, api, secretsOf, findings }: LiveParts,
): Promise<{ streams: number; records: number }> {
  const watched: Watched[] = samples.flatMap((sample) =>
    sample.callers
      .filter(({ grants }) => grants.includes(MAY_CONNECT))
      .filter(({ scheme }) => scheme === 'customerToken')
      .flatMap((caller) => {
        const others = samples.filter((one) => one !== sample).map(victimOf);
        const victims = caller.isRestricted ? [...others, hiddenVictim(sample)] : others;
        const starts: Record<string, Wanted> = {
          'from now': {},
          'from a cursor': { cursor: sample.feedCursor },
          'with a snapshot': { snapshot: true },
          'of a fleet': { cursor: sample.feedCursor, filter: { fleets: [sample.own.fleet] } },
        };
        // Only streams that carry records are watched. This scope alone sees everything that telemetry:read sees.
        return Object.entries(starts).map(([start, wanted]) => {
          const one: Watched = {
            sample,
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
        throw new Error(`the stream ${ended.name} of ${ended.sample.slug} ended: ${ended.ending}`);
      return watched.every(test) || undefined;
    };
    await waitFor(
      'every stream to begin',
      allOf(({ messages }) => messages.length > 0),
    );
    for (let round = 0; round < ROUNDS; round++) {
      await inParallel(samples, samples.length, async (sample) => {
        for (const place of [...sample.values.vin, `plants/${sample.own.plant}`, `plants/${sample.hidden.plant}`]) {
          const options = { token: sample.partnerToken, body: JSON.parse(traccarBody(freshWord())) };
          await api.call('POST', `/telemetry/intake/${place}`, options);
        }
      });
    }
    const carries = ({ messages }: Watched) => messages.some(({ event }) => event.case === 'records');
    await waitFor('every stream to carry records', allOf(carries));
    let records = 0;
    for (const { sample, victims, name, messages } of watched) {
      findings.probes += 1;
      for (const message of messages) {
        if (message.event.case === 'records') records += message.event.value.records.length;
        const text = toJsonString(SubscribeResponseSchema, message);
        for (const victim of victims) {
          const shown = findShown(text, secretsOf(sample, victim), []);
          if (shown !== undefined)
            noteLeak(findings, 'shown', `LiveFeed: ${name} of ${sample.slug} carries ${shown} of ${victim.name}`);
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
