import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  LiveFeed,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import { Client, credentials, Metadata, type StatusObject, status } from '@grpc/grpc-js';

/** LiveFeed streams of one customer at one node. Each stream holds a slot while it is open. */
export interface Streams {
  /** Opens a stream and keeps it open. Resolves with `open`, or with the name of the gRPC status that refused it. */
  open(): Promise<string>;
  /** The number of open streams. */
  readonly count: number;
  close(): void;
}

/** Below the maximum number of streams on one HTTP/2 connection. */
const STREAMS_PER_CONNECTION = 50;

export function createStreams(port: number, token: string): Streams {
  const clients: Client[] = [];
  const streams = new Set<{ cancel(): void }>();
  let opened = 0;
  const clientFor = (number: number): Client => {
    const place = Math.floor(number / STREAMS_PER_CONNECTION);
    clients[place] ??= new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    return clients[place]!;
  };
  return {
    get count() {
      return streams.size;
    },
    open() {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${token}`);
      const stream = clientFor(opened++ % (STREAMS_PER_CONNECTION * 8)).makeServerStreamRequest(
        `/${LiveFeed.typeName}/${LiveFeed.method.subscribe.name}`,
        (request: MessageInitShape<typeof SubscribeRequestSchema>) =>
          Buffer.from(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, request))),
        (bytes: Buffer) => fromBinary(SubscribeResponseSchema, bytes),
        {},
        metadata,
      );
      return new Promise<string>((resolve) => {
        stream.on('data', (_message: SubscribeResponse) => {
          streams.add(stream);
          resolve('open');
        });
        stream.on('error', () => {});
        stream.on('status', ({ code }: StatusObject) => {
          streams.delete(stream);
          resolve(status[code] ?? String(code));
        });
      });
    },
    close() {
      for (const stream of streams) stream.cancel();
      for (const client of clients) client.close();
    },
  };
}
