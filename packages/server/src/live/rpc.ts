import { setImmediate as breathe } from 'node:timers/promises';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Clock } from '@gladhand/base/clock.ts';
import type { Cursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Logger } from '@gladhand/base/log.ts';
import {
  file_gladhand_livefeed_v1_livefeed,
  LiveFeed as LiveFeedService,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import { Metadata, type ServerWritableStream, type ServiceDefinition } from '@grpc/grpc-js';
import type { Principal } from '../access/principal.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import { type GrpcLimits, openGrpc } from '../edge/grpc.ts';
import { toGrpcStatus } from '../edge/grpc-status.ts';
import { type Authenticator, authenticateToken, type Caller, notForPeople, otherAudience } from '../edge/guard.ts';
import { overlapHeaders } from '../edge/http.ts';
import { toFault } from '../edge/problem.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { addressOf, bearerToken } from './caller.ts';
import { openFilter, type ResolveFilter } from './filter.ts';
import { createHistory } from './history.ts';
import { LIVE_LIMITS, type LiveLimits } from './limits.ts';
import { resetStream } from './reset-stream.ts';
import { createSubscriber, type Subscriber } from './subscriber.ts';
import { openTails } from './tails.ts';
import { gapMessage, heartbeatMessage } from './wire.ts';

/**
 * LiveFeed, the customer's stream: gRPC on a port of its own. Promise: a subscriber gets every record of its
 * organization that passes its filter, from where it asked to start, exactly once and in order of position, whether it
 * keeps up, falls behind or comes back with a cursor; its stream ends when its token or key does, and every ending
 * says where to resume. Assumes that positions become visible in order (decision 0001) and that `watch` calls back
 * within a second of a revocation. Fails by ending streams with a status that says what to do, never by skipping.
 */
export interface LiveFeed {
  readonly port: number;
  /** What is open now, for metrics. */
  counts(): { readonly subscribers: number; readonly organizations: number };
  close(): Promise<void>;
}

export interface LiveFeedParts {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly key: Buffer; readonly certificate: Buffer };
  readonly reader: TelemetryReader;
  readonly doorbell: Doorbell;
  readonly cursors: Cursors;
  readonly clock: Clock;
  readonly log: Logger;
  readonly access: Authenticator & {
    /** Calls `end` once, with the reason, when a stream of the principal from `address` may not go on; the answer stops watching. */
    watch(principal: Principal, end: (reason?: Fault) => void, address?: string): () => void;
  };
  readonly resolveFilter: ResolveFilter;
  /**
   * Claims one of the streams of the caller's plan, or throws; `fields` are sent as the stream's initial metadata.
   * Default: there is no such limit.
   */
  readonly openSlot?: (
    principal: Principal,
  ) => Promise<{ readonly fields: Readonly<Record<string, string>>; giveBack(): void }>;
  /** Called for every stream that was refused when it was opened; `caller`: whose it was, when that was found out. */
  readonly onRefused?: (fault: Fault, call: { readonly caller: Caller | null; readonly address: string }) => void;
  /** Called for every message of records written, with how many are in it. */
  readonly onSent?: (records: number) => void;
  readonly limits?: Partial<LiveLimits>;
  readonly grpcLimits?: GrpcLimits;
}

type Call = ServerWritableStream<SubscribeRequest, Buffer>;

/** The query that a cursor of the change feed is bound to, here and in GET /telemetry/feed; its one field is a position. */
export const FEED_QUERY = 'feed';

export async function openLiveFeed(parts: LiveFeedParts): Promise<LiveFeed> {
  const { reader, clock, log, access, cursors } = parts;
  const limits = { ...LIVE_LIMITS, ...parts.limits };
  const seal = (organizationId: string, position: number) =>
    cursors.seal({ organizationId, query: FEED_QUERY }, [position]);
  const tails = openTails({ reader, doorbell: parts.doorbell, clock, log, limits, sealCursor: seal });
  const history = createHistory(reader, limits.historyReadsMax);
  const streams = new Set<Stream>();
  const streamsOfKey = new Map<string, number>();
  /** Calls that have been ended and whose clients may not know yet. */
  const leaving = new Set<Call>();
  let onAllLeft = () => {};
  let isClosing = false;

  /** What is held for one call, given back when the call is over, and the one way to end it. */
  interface Stream {
    end(fault: Fault): void;
  }

  function openStream(call: Call) {
    const undo: (() => void)[] = [];
    let subscriber: Subscriber | null = null;
    let organizationId = '';
    let isOver = false;
    const cleanUp = () => {
      isOver = true;
      streams.delete(stream);
      subscriber?.close();
      for (const step of undo.splice(0)) step();
    };
    const stream = {
      get isOver() {
        return isOver;
      },
      /** Runs `step` when the stream is over; at once if it is. */
      atEnd(step: () => void) {
        if (isOver) step();
        else undo.push(step);
      },
      end(fault: Fault) {
        if (isOver) return;
        const resume = subscriber?.resumePosition ?? null;
        const cursor = resume === null ? undefined : seal(organizationId, resume);
        cleanUp();
        if (fault.cause !== undefined)
          log.warn({ err: fault.cause, code: fault.code, organizationId }, 'a LiveFeed stream failed');
        else log.info({ code: fault.code, organizationId }, 'a LiveFeed stream ended');
        leaving.add(call);
        const cancel = clock.after(limits.graceMs, () => {
          if (!resetStream(call)) log.error('a stream that is not read could not be cut: grpc-js has changed inside');
        });
        // Emitted, for every ending, when the trailers are on their way or the stream is gone.
        call.once('cancelled', () => {
          cancel();
          leaving.delete(call);
          if (leaving.size === 0) onAllLeft();
        });
        call.emit('error', toGrpcStatus(fault, cursor));
      },
      carry(made: Subscriber, owner: string) {
        subscriber = made;
        organizationId = owner;
        made.start();
      },
    };
    call.once('close', () => {
      if (!isOver) cleanUp();
    });
    streams.add(stream);
    return stream;
  }

  async function subscribe(call: Call): Promise<void> {
    const stream = openStream(call);
    const address = addressOf(call.getPeer());
    let caller: Caller | null = null;
    try {
      if (isClosing) throw shuttingDown();
      if (streams.size > limits.subscribersMax)
        throw tooMany(`This server has ${limits.subscribersMax} streams open already.`);
      caller = await authenticateToken(access, bearerToken(call.metadata.get('authorization')[0]), address);
      if ('person' in caller) throw notForPeople();
      const principal = caller.key;
      if (principal.audience !== 'customer') throw otherAudience('customer', 'Partners send; customers subscribe.');
      if (!principal.scopes.has('livefeed:connect')) {
        throw new Fault('missing-scope', 'This needs the scope livefeed:connect, which the key does not have.');
      }
      countKey(principal.keyId, stream.atEnd);
      const slot = await parts.openSlot?.(principal);
      if (slot !== undefined) stream.atEnd(slot.giveBack);
      const fields = { ...slot?.fields, ...(principal.overlap && overlapHeaders(principal.overlap)) };
      if (!stream.isOver) call.sendMetadata(metadataOf(fields));
      stream.atEnd(
        access.watch(
          principal,
          (reason) =>
            stream.end(reason ?? new Fault('invalid-token', 'The key behind this stream is no longer valid.')),
          address,
        ),
      );
      const expiresInMs = principal.tokenExpiresAtMs - clock.nowMs();
      const expired = () =>
        stream.end(
          new Fault(
            'token-expired',
            'The access token has expired. Get a new one and subscribe again with the cursor.',
          ),
        );
      stream.atEnd(clock.after(Math.max(0, expiresInMs), expired));

      const { organizationId } = principal;
      const { filter: wanted, cursor, snapshot } = call.request;
      if (cursor !== '' && snapshot) {
        throw new Fault(
          'validation-failed',
          'Send `cursor` to continue or `snapshot` to begin with the latest values, not both.',
        );
      }
      const from = cursor === '' ? null : positionOf(organizationId, cursor);
      const filter = await openFilter(parts.resolveFilter, principal, wanted);
      const { tail, release } = await tails.acquire(organizationId);
      stream.atEnd(release);
      const head = await reader.head();
      if (stream.isOver) return;
      const position = from === null ? head : Math.min(from, head);
      const here = seal(organizationId, position);
      const greet = () =>
        from !== null && from > head
          ? gapMessage(here, 'cursor-ahead-of-store', cursor)
          : heartbeatMessage(here, clock.nowMs());
      const greeting = snapshot ? null : greet();
      log.info(
        { organizationId, keyId: principal.keyId, start: from === null ? (snapshot ? 'snapshot' : 'now') : 'cursor' },
        'a LiveFeed stream began',
      );
      const sealCursor = (place: number) => seal(organizationId, place);
      const onSent = parts.onSent ?? (() => {});
      stream.carry(
        createSubscriber({
          organizationId,
          filter,
          position,
          snapshot,
          greeting,
          sink: call,
          tail,
          history,
          reader,
          sealCursor,
          clock,
          limits,
          log,
          onSent,
          onFailed: stream.end,
        }),
        organizationId,
      );
    } catch (error) {
      const fault = toFault(error);
      parts.onRefused?.(fault, { caller, address });
      stream.end(fault);
    }
  }

  function countKey(keyId: string, atEnd: (step: () => void) => void): void {
    const open = streamsOfKey.get(keyId) ?? 0;
    if (open >= limits.subscribersPerKeyMax)
      throw tooMany(`This key has ${limits.subscribersPerKeyMax} streams open already.`);
    streamsOfKey.set(keyId, open + 1);
    atEnd(() => {
      const left = streamsOfKey.get(keyId)! - 1;
      if (left === 0) streamsOfKey.delete(keyId);
      else streamsOfKey.set(keyId, left);
    });
  }

  function positionOf(organizationId: string, cursor: string): number {
    const [position] = cursors.open({ organizationId, query: FEED_QUERY }, cursor);
    return position as number;
  }

  const name = LiveFeedService.typeName;
  const grpc = await openGrpc({
    host: parts.host,
    port: parts.port,
    ...(parts.tls && { tls: parts.tls }),
    ...(parts.grpcLimits && { limits: parts.grpcLimits }),
    clock,
    drainMs: limits.drainMs,
    services: [
      {
        name,
        file: file_gladhand_livefeed_v1_livefeed,
        definition: DEFINITION,
        implementation: { subscribe: (call: Call) => void subscribe(call) },
      },
    ],
  }).catch((error: unknown) => {
    tails.close();
    throw error;
  });

  return {
    port: grpc.port,
    counts: () => ({ subscribers: streams.size, organizations: tails.size }),
    async close() {
      isClosing = true;
      for (const stream of streams) stream.end(shuttingDown());
      // The GOAWAY of a closing server makes some clients forget the status of streams that are ending beside it.
      if (leaving.size > 0) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(limits.drainMs, resolve);
          onAllLeft = () => {
            cancel();
            resolve();
          };
        });
        await breathe();
      }
      await grpc.close();
      tails.close();
    },
  };
}

/** Answers are bytes already when they come here, so that subscribers can share them. */
const DEFINITION: ServiceDefinition = {
  subscribe: {
    path: `/${LiveFeedService.typeName}/${LiveFeedService.method.subscribe.name}`,
    requestStream: false,
    responseStream: true,
    requestSerialize: (request: SubscribeRequest) => Buffer.from(toBinary(SubscribeRequestSchema, request)),
    requestDeserialize: (bytes: Buffer) => fromBinary(SubscribeRequestSchema, bytes),
    responseSerialize: (message: Buffer) => message,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
};

function shuttingDown(): Fault {
  return new Fault('shutting-down', 'This server is shutting down. Subscribe again with the cursor.');
}

function tooMany(detail: string): Fault {
  return new Fault('too-many-streams', `${detail} Close one, or ask for a higher limit.`);
}

function metadataOf(fields: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return metadata;
}
