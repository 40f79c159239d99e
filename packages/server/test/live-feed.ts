import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { createCursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import {
  LiveFeed as LiveFeedService,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import type { TelemetryRecord } from '@gladhand/contract/gen/gladhand/livefeed/v1/record_pb.ts';
import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type StatusObject,
  type status,
} from '@grpc/grpc-js';
import { expect, onTestFinished, vi } from 'vitest';
import type { Principal } from '../src/access/principal.ts';
import { createLocalDoorbell } from '../src/doorbell/local.ts';
import { type LiveFeed, type LiveFeedParts, openLiveFeed } from '../src/live/rpc.ts';
import type { FeedRow, LatestRow, TelemetryReader } from '../src/telemetry/read.ts';
import { signalGroupBits } from '../src/telemetry/signal-groups.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';

/** Everything about LiveFeed but the store: a real server, real clients, a clock that is moved by hand. */
export const ORGANIZATION = '01900000-0000-7000-8000-00000000000a';
export const OTHER_ORGANIZATION = '01900000-0000-7000-8000-00000000000b';
export const FLEET = '01900000-0000-7000-8000-0000000f0001';
export const CURSOR_KEY = Buffer.alloc(32, 7);

export interface LiveHarness {
  readonly feed: LiveFeed;
  readonly clock: ManualClock;
  readonly ring: () => void;
  /** What `watch` was given, by key: calling it revokes. */
  readonly revoke: (keyId: string) => void;
  /** Subscribes, on a connection of its own unless a client is given. */
  readonly connect: (
    request?: MessageInitShape<typeof SubscribeRequestSchema>,
    token?: string | null,
    client?: Client,
  ) => Subscription;
  readonly connectClient: () => Client;
  /** Records written to subscribers so far, read or not. */
  readonly sent: () => number;
}

export function principal(changes: Partial<Principal> = {}): Principal {
  return {
    keyId: 'key-1',
    publicId: 'key-1',
    organizationId: ORGANIZATION,
    organizationKind: 'customer',
    audience: 'customer',
    partnerId: 'customer',
    scopes: new Set(['livefeed:connect']),
    product: null,
    plantIds: null,
    generation: 1,
    tokenExpiresAtMs: Date.parse('2026-11-21T08:00:00.000Z'),
    ...changes,
  };
}

/** Opens LiveFeed on `reader`. A token is the name of one of `principals`; the default is `good`. */
export async function openHarness(
  reader: TelemetryReader,
  options: Partial<Pick<LiveFeedParts, 'limits' | 'resolveFilter' | 'grpcLimits'>> & {
    principals?: Record<string, Principal>;
  } = {},
): Promise<LiveHarness> {
  const clock = createManualClock();
  const doorbell = createLocalDoorbell();
  const principals: Record<string, Principal> = { good: principal(), ...options.principals };
  let sent = 0;
  const watchers = new Map<string, Set<() => void>>();
  const feed = await openLiveFeed({
    host: '127.0.0.1',
    port: 0,
    reader,
    doorbell,
    clock,
    cursors: createCursors(CURSOR_KEY),
    log: silentLogger,
    access: {
      async authenticate(token) {
        const found = principals[token];
        if (found === undefined) throw new Fault('invalid-token', 'The access token was not accepted.');
        return found;
      },
      watch({ keyId }, end) {
        const all = watchers.get(keyId) ?? new Set();
        watchers.set(keyId, all.add(end));
        return () => all.delete(end);
      },
    },
    onSent: (records) => {
      sent += records;
    },
    resolveFilter: options.resolveFilter ?? (() => Promise.reject(new Fault('not-found', 'no such thing'))),
    ...(options.limits && { limits: options.limits }),
    ...(options.grpcLimits && { grpcLimits: options.grpcLimits }),
  });
  const clients = new Set<Client>();
  const connectClient = () => {
    const client = new Client(`127.0.0.1:${feed.port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    clients.add(client);
    return client;
  };
  onTestFinished(async () => {
    for (const client of clients) client.close();
    await feed.close();
    await doorbell.close();
  });
  return {
    feed,
    clock,
    ring: () => doorbell.ring('telemetry'),
    revoke: (keyId) => {
      for (const end of watchers.get(keyId) ?? []) end();
    },
    connectClient,
    sent: () => sent,
    connect(request = {}, token = 'good', client = connectClient()) {
      const metadata = new Metadata();
      if (token !== null) metadata.set('authorization', `Bearer ${token}`);
      return createSubscription(subscribe(client, request, metadata));
    },
  };
}

export function subscribe(
  client: Client,
  request: MessageInitShape<typeof SubscribeRequestSchema>,
  metadata: Metadata,
): ClientReadableStream<SubscribeResponse> {
  return client.makeServerStreamRequest(
    `/${LiveFeedService.typeName}/Subscribe`,
    (message: MessageInitShape<typeof SubscribeRequestSchema>) =>
      Buffer.from(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, message))),
    (bytes: Buffer) => fromBinary(SubscribeResponseSchema, bytes),
    request,
    metadata,
  );
}

export interface Subscription {
  readonly stream: ClientReadableStream<SubscribeResponse>;
  readonly messages: readonly SubscribeResponse[];
  readonly records: readonly TelemetryRecord[];
  readonly positions: readonly number[];
  /** The newest cursor. */
  readonly cursor: string;
  readonly ended: Promise<Ending>;
  /** The initial metadata: resolves when the server has sent it. */
  readonly headers: Promise<Metadata>;
  /** Resolves when the server has said something: from then on nothing is missed. */
  begun(): Promise<void>;
  received(count: number): Promise<void>;
}

export interface Ending {
  readonly code: status;
  readonly details: string;
  readonly errorCode: string | undefined;
  readonly cursor: string | undefined;
  readonly metadata: Metadata;
}

/** Resolves with what `read` gives once it has given the same for a while: whatever was going on is over or stuck. */
export async function settled(read: () => number): Promise<number> {
  let last = read();
  let same = 0;
  await vi.waitFor(() => {
    same = read() === last ? same + 1 : 0;
    last = read();
    expect(same).toBeGreaterThan(25);
  }, WAIT);
  return last;
}

export const WAIT = { timeout: 20_000, interval: 2 };

export function createSubscription(stream: ClientReadableStream<SubscribeResponse>): Subscription {
  const messages: SubscribeResponse[] = [];
  const records: TelemetryRecord[] = [];
  stream.on('data', (message: SubscribeResponse) => {
    messages.push(message);
    if (message.event.case === 'records') records.push(...message.event.value.records);
  });
  stream.on('error', () => {});
  const headers = new Promise<Metadata>((resolve) => stream.on('metadata', resolve));
  const ended = new Promise<Ending>((resolve) => {
    stream.on('status', ({ code, details, metadata }: StatusObject) => {
      const text = (name: string) => metadata.get(name)[0]?.toString();
      resolve({ code, details, metadata, errorCode: text('gladhand-error-code'), cursor: text('gladhand-cursor') });
    });
  });
  return {
    stream,
    messages,
    records,
    get positions() {
      return records.map(({ position }) => Number(position));
    },
    get cursor() {
      return messages.findLast(({ cursor }) => cursor !== '')?.cursor ?? '';
    },
    ended,
    headers,
    begun: () => vi.waitFor(() => messages.length > 0 || Promise.reject(new Error('nothing yet')), WAIT).then(() => {}),
    received: (count) =>
      vi
        .waitFor(() => records.length >= count || Promise.reject(new Error(`${records.length} of ${count}`)), WAIT)
        .then(() => {}),
  };
}

export interface NewRow {
  readonly organizationId?: string;
  readonly assetId?: string;
  readonly assetKind?: FeedRow['assetKind'];
  readonly fleetId?: string | null;
  readonly signals?: Record<string, unknown>;
  readonly states?: Record<string, string>;
}

export interface ArrayStore {
  readonly reader: TelemetryReader;
  /** Adds rows at the next positions, visible at once; tells the last position. */
  append(...rows: NewRow[]): number;
  latest: LatestRow[];
  /** Called with every request for a page of the feed or of the tail. */
  onFeed: () => void;
  /** Pages of the feed and of the tail. */
  readonly feedReads: number;
}

export const ASSET = '01900000-0000-7000-8000-00000000a001';

/** A store that is an array: for what does not depend on PostgreSQL. `examinedRowsMax`: what one feed page looks at. */
export function createArrayStore(examinedRowsMax = Number.POSITIVE_INFINITY): ArrayStore {
  const rows: (FeedRow & { organizationId: string })[] = [];
  let feedReads = 0;
  const store: ArrayStore = {
    latest: [],
    onFeed: () => {},
    get feedReads() {
      return feedReads;
    },
    append(...added) {
      for (const {
        organizationId = ORGANIZATION,
        assetId = ASSET,
        assetKind = 'trailer',
        fleetId = FLEET,
        signals = { motion: { moving: true } },
        states,
      } of added) {
        const position = rows.length + 1;
        const json = recordJson({ assetId, assetKind, position, signals, ...(states && { states }) });
        rows.push({
          organizationId,
          position,
          assetId,
          assetKind,
          fleetId,
          signalGroups: signalGroupBits(Object.keys(signals)),
          json,
        });
      }
      return rows.length;
    },
    reader: {
      async head() {
        return rows.length;
      },
      async tail({ organizationIds, afterPosition, take }) {
        feedReads += 1;
        store.onFeed();
        const end = Math.min(rows.length, afterPosition + examinedRowsMax);
        const own = rows.slice(afterPosition, end).filter((row) => organizationIds.includes(row.organizationId));
        const isCut = own.length > take;
        const page = own.slice(0, take);
        const through = isCut ? page.at(-1)!.position : end;
        const isCaughtUp = !isCut && end >= rows.length;
        await new Promise((resolve) => setImmediate(resolve));
        return { rows: page, through, isCaughtUp };
      },
      async feed(request) {
        feedReads += 1;
        store.onFeed();
        const head = rows.length;
        const own = rows.slice(request.afterPosition).filter((row) => row.organizationId === request.organizationId);
        const examined = own.slice(0, examinedRowsMax);
        const seen = examined.filter(
          (row) =>
            (request.fleetIds?.includes(row.fleetId ?? '') ?? true) &&
            (request.assetIds?.includes(row.assetId) ?? true) &&
            (request.signalGroups === undefined || (row.signalGroups & request.signalGroups) !== 0),
        );
        await new Promise((resolve) => setImmediate(resolve));
        const page = seen.slice(0, request.take);
        if (seen.length > request.take) return { rows: page, through: page.at(-1)!.position, isCaughtUp: false };
        const isCaughtUp = examined.length === own.length;
        return { rows: page, through: isCaughtUp ? head : examined.at(-1)!.position, isCaughtUp };
      },
      async latest({ afterAssetId, assetId, take }) {
        const found = store.latest.filter(
          (row) =>
            (assetId === undefined || row.assetId === assetId) && (afterAssetId === null || row.assetId > afterAssetId),
        );
        const page = found.slice(0, take);
        return { rows: page, afterAssetId: found.length > take ? page.at(-1)!.assetId : null };
      },
      byTime: () => Promise.reject(new Error('not part of a feed')),
    },
  };
  return store;
}

function recordJson(record: {
  assetId: string;
  assetKind: string;
  position: number;
  signals: unknown;
  states?: unknown;
}): string {
  const at = '2026-11-20T07:59:59.250Z';
  return JSON.stringify({
    id: `01900000-0000-7000-8000-${record.position.toString(16).padStart(12, '0')}`,
    assetId: record.assetId,
    assetKind: record.assetKind,
    deviceId: null,
    product: 'traccar',
    mappingVersion: 1,
    receiptId: '01900000-0000-7000-8000-00000000c001',
    position: record.position,
    observedAt: at,
    deviceAt: null,
    receivedAt: at,
    processedAt: '2026-11-20T08:00:00.000Z',
    signals: record.signals,
    ...(record.states !== undefined && { states: record.states }),
  });
}

/** first..last, inclusive. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
