import { setImmediate as breathe } from 'node:timers/promises';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  file_gladhand_livefeed_v1_livefeed,
  LiveFeed as LiveFeedService,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import type { ServiceDefinition } from '@grpc/grpc-js';
import type { Doorbell } from '../doorbell/doorbell.ts';
import { type GrpcDoor, type GrpcLimits, openGrpc } from '../edge/grpc.ts';
import { toGrpcStatus } from '../edge/grpc-status.ts';
import { feedBinding } from '../telemetry/feed-cursor.ts';
import { createHistory } from './history.ts';
import { LIVE_LIMITS, type LiveLimits } from './limits.ts';
import { createStreams, shuttingDown } from './streams.ts';
import { type SubscribeCall, type SubscribeDeps, type SubscribeParts, subscribe } from './subscribe-rpc.ts';
import { openTailReader } from './tail-reader.ts';

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

export interface LiveFeedParts extends SubscribeDeps {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly key: Buffer; readonly certificate: Buffer };
  readonly doorbell: Doorbell;
  readonly limits?: Partial<LiveLimits>;
  readonly grpcLimits?: GrpcLimits;
}

export async function openLiveFeed(parts: LiveFeedParts): Promise<LiveFeed> {
  const { reader, clock, log, cursors, doorbell } = parts;
  const limits = { ...LIVE_LIMITS, ...parts.limits };
  const sealCursor = (organizationId: string, position: number) =>
    cursors.seal(feedBinding(organizationId), [position]);
  const streams = createStreams<SubscribeCall>({
    clock,
    log,
    limits,
    sealCursor,
    sendStatus: (call, fault, cursor) => void call.emit('error', toGrpcStatus(fault, cursor)),
  });
  const tailReader = openTailReader({ reader, doorbell, clock, log, limits, sealCursor });
  const history = createHistory(reader, limits.historyReadsMax);
  let isClosing = false;
  const requireOpen = () => {
    if (isClosing) throw shuttingDown();
  };
  const grpc = await openGrpc({
    host: parts.host,
    port: parts.port,
    ...(parts.tls && { tls: parts.tls }),
    ...(parts.grpcLimits && { limits: parts.grpcLimits }),
    clock,
    drainMs: limits.drainMs,
    services: [serviceOf({ ...parts, limits, streams, tailReader, history, sealCursor, requireOpen })],
  }).catch((error: unknown) => {
    tailReader.close();
    throw error;
  });

  return {
    port: grpc.port,
    counts: () => ({ subscribers: streams.size, organizations: tailReader.size }),
    async close() {
      isClosing = true;
      // The GOAWAY of a closing server makes some clients forget the status of streams that are ending beside it.
      await streams.endAll();
      await breathe();
      await grpc.close();
      tailReader.close();
    },
  };
}

function serviceOf(parts: SubscribeParts): GrpcDoor {
  return {
    name: LiveFeedService.typeName,
    file: file_gladhand_livefeed_v1_livefeed,
    definition: DEFINITION,
    implementation: { subscribe: (call: SubscribeCall) => void subscribe(parts, call) },
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
