import type { Clock } from '@gladhand/base/clock.ts';
import type { Cursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { SubscribeRequest } from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import type { Principal } from '../access/principal.ts';
import { type Authenticator, authenticateToken, type Caller, notForPeople, otherAudience } from '../edge/guard.ts';
import { overlapHeaders } from '../edge/http.ts';
import { toFault } from '../edge/problem.ts';
import type { OpenStreamSlot } from '../edge/stream-limit.ts';
import { feedBinding } from '../telemetry/feed-cursor.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { addressOf, bearerToken } from './caller.ts';
import { openFilter, type ResolveFilter } from './filter.ts';
import type { History } from './history.ts';
import type { LiveLimits } from './limits.ts';
import { type Stream, type Streams, tooManyStreams } from './streams.ts';
import { createSubscriber } from './subscriber.ts';
import type { TailReader } from './tail-reader.ts';
import { gapMessage, heartbeatMessage } from './wire.ts';

/**
 * The call Subscribe, in a fixed order: who calls -> room for one more stream -> what ends it -> what it asks for. Whatever
 * is refused on the way ends the stream with its reason, and gives back what was held for it.
 */
export type SubscribeCall = ServerWritableStream<SubscribeRequest, Buffer>;

/** What LiveFeed is given from outside. */
export interface SubscribeDeps {
  readonly reader: TelemetryReader;
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
  readonly openSlot?: OpenStreamSlot;
  /** Called for every stream that was refused when it was opened; `caller`: whose it was, when that was found out. */
  readonly onRefused?: (fault: Fault, call: { readonly caller: Caller | null; readonly address: string }) => void;
  /** Called for every message of records written, with how many are in it. */
  readonly onSent?: (records: number) => void;
}

export interface SubscribeParts extends SubscribeDeps {
  readonly limits: LiveLimits;
  readonly streams: Streams<SubscribeCall>;
  readonly tailReader: TailReader;
  readonly history: History;
  readonly sealCursor: (organizationId: string, position: number) => string;
  /** Throws when no stream may begin any more. */
  readonly requireOpen: () => void;
}

export async function subscribe(parts: SubscribeParts, call: SubscribeCall): Promise<void> {
  const stream = parts.streams.open(call);
  const address = addressOf(call.getPeer());
  let caller: Caller | null = null;
  try {
    parts.requireOpen();
    requireRoom(parts);
    caller = await authenticateToken(parts.access, bearerToken(call.metadata.get('authorization')[0]), address);
    const principal = requireSubscriber(caller);
    await claimStream(parts, call, stream, principal);
    endWithCredential(parts, stream, principal, address);
    await begin(parts, call, stream, principal);
  } catch (error) {
    const fault = toFault(error);
    parts.onRefused?.(fault, { caller, address });
    stream.end(fault);
  }
}

function requireRoom({ streams, limits }: SubscribeParts): void {
  if (streams.size > limits.subscribersMax)
    throw tooManyStreams(`This server has ${limits.subscribersMax} streams open already.`);
}

function requireSubscriber(caller: Caller): Principal {
  if ('person' in caller) throw notForPeople();
  const principal = caller.key;
  if (principal.audience !== 'customer') throw otherAudience('customer', 'Partners send; customers subscribe.');
  if (!principal.scopes.has('livefeed:connect')) {
    throw new Fault('missing-scope', 'This needs the scope livefeed:connect, which the key does not have.');
  }
  return principal;
}

/** One of the streams of the key and of its plan. What is left is said in the initial metadata. */
async function claimStream(parts: SubscribeParts, call: SubscribeCall, stream: Stream, principal: Principal) {
  parts.streams.claimOfKey(principal.keyId, stream);
  const slot = await parts.openSlot?.(principal);
  if (slot !== undefined) stream.atEnd(slot.giveBack);
  const fields = { ...slot?.fields, ...(principal.overlap && overlapHeaders(principal.overlap)) };
  if (!stream.isOver) call.sendMetadata(metadataOf(fields));
}

/** Ends the stream when its token expires or its key may not go on. */
function endWithCredential({ access, clock }: SubscribeParts, stream: Stream, principal: Principal, address: string) {
  const end = (reason?: Fault) =>
    stream.end(reason ?? new Fault('invalid-token', 'The key behind this stream is no longer valid.'));
  stream.atEnd(access.watch(principal, end, address));
  const expired = () =>
    stream.end(
      new Fault('token-expired', 'The access token has expired. Get a new one and subscribe again with the cursor.'),
    );
  stream.atEnd(clock.after(Math.max(0, principal.tokenExpiresAtMs - clock.nowMs()), expired));
}

async function begin(parts: SubscribeParts, call: SubscribeCall, stream: Stream, principal: Principal): Promise<void> {
  const { reader, clock, log, limits, history } = parts;
  const { organizationId } = principal;
  const { snapshot } = call.request;
  const from = readStart(parts, organizationId, call.request);
  const filter = await openFilter(parts.resolveFilter, principal, call.request.filter);
  const { tail, release } = await parts.tailReader.acquire(organizationId);
  stream.atEnd(release);
  const head = await reader.head();
  if (stream.isOver) return;
  const position = from === null ? head : Math.min(from, head);
  const sealCursor = (through: number) => parts.sealCursor(organizationId, through);
  const isAhead = from !== null && from > head;
  const greet = () =>
    isAhead
      ? gapMessage(sealCursor(position), 'cursor-ahead-of-store', call.request.cursor)
      : heartbeatMessage(sealCursor(position), clock.nowMs());
  const greeting = snapshot ? null : greet();
  const start = from === null ? (snapshot ? 'snapshot' : 'now') : 'cursor';
  log.info({ organizationId, keyId: principal.keyId, start }, 'a LiveFeed stream began');
  const subscriber = createSubscriber({
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
    onSent: parts.onSent ?? (() => {}),
    onFailed: stream.end,
  });
  stream.carry(subscriber, organizationId);
}

/** The position of the cursor; null without one. */
function readStart({ cursors }: SubscribeParts, organizationId: string, request: SubscribeRequest): number | null {
  const { cursor, snapshot } = request;
  if (cursor === '') return null;
  if (snapshot) {
    throw new Fault(
      'validation-failed',
      'Send `cursor` to continue or `snapshot` to begin with the latest values, not both.',
    );
  }
  return cursors.open(feedBinding(organizationId), cursor)[0] as number;
}

function metadataOf(fields: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return metadata;
}
