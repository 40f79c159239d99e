import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type DescFile, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Clock } from '@gladhand/base/clock.ts';
import {
  status as Code,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';

/**
 * The gRPC server, as every gRPC door finds it: its own port, limits on connections, streams, message sizes and
 * silence, the health and reflection services, and an orderly end. Promise: a connection whose client is gone (half
 * open, powered off, window shut at the TCP level) is closed within 20 s; `close` first says so to health watchers,
 * sends GOAWAY, lets streams finish for `drainMs`, and leaves no socket and no timer behind. Fails to open when the
 * port is taken. Rapid resets and floods of control frames are ended by Node's HTTP/2 itself.
 */
export interface GrpcServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface GrpcParts {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly services: readonly GrpcDoor[];
  readonly clock: Clock;
  readonly drainMs: number;
  /** PEM; without it, plain text for a trusted network or behind a proxy that ends TLS. */
  readonly tls?: { readonly key: Buffer; readonly certificate: Buffer };
  readonly limits?: GrpcLimits;
}

export interface GrpcDoor {
  /** The full name, as health reports it. */
  readonly name: string;
  /** Where it is described: what reflection shows. */
  readonly file: DescFile;
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface GrpcLimits {
  readonly connectionsMax: number;
  readonly streamsPerConnectionMax: number;
  readonly requestBytesMax: number;
  /** Messages a client may send in one call; more than any reflection client asks. */
  readonly requestMessagesMax: number;
  readonly pingEveryMs: number;
  readonly pingTimeoutMs: number;
  /** A connection without a stream is closed after this long. */
  readonly idleMs: number;
}

export const GRPC_LIMITS: GrpcLimits = {
  connectionsMax: 2_000,
  streamsPerConnectionMax: 100,
  requestBytesMax: 128 * 1024,
  requestMessagesMax: 256,
  pingEveryMs: 10_000,
  pingTimeoutMs: 10_000,
  idleMs: 60_000,
};

export async function openGrpc(parts: GrpcParts): Promise<GrpcServer> {
  const limits = parts.limits ?? GRPC_LIMITS;
  const server = new Server({
    'grpc.max_concurrent_streams': limits.streamsPerConnectionMax,
    'grpc.max_receive_message_length': limits.requestBytesMax,
    'grpc.keepalive_time_ms': limits.pingEveryMs,
    'grpc.keepalive_timeout_ms': limits.pingTimeoutMs,
    'grpc.max_connection_idle_ms': limits.idleMs,
    // Its bookkeeping of every message and socket is not offered to anybody here.
    'grpc.enable_channelz': 0,
    interceptors: [limitRequestMessages(limits.requestMessagesMax)],
  });
  for (const { definition, implementation } of parts.services) server.addService(definition, implementation);
  const names = ['', ...parts.services.map(({ name }) => name)];
  const health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'SERVING'])));
  health.addToServer(server);
  createReflection(parts.services.map(({ file }) => file)).addToServer(server);

  const { tls } = parts;
  const credentials = tls
    ? ServerCredentials.createSsl(null, [{ private_key: tls.key, cert_chain: tls.certificate }])
    : ServerCredentials.createInsecure();
  // Connections are accepted here and handed over, because grpc-js has no limit on them and no way to close one.
  const injector = server.createConnectionInjector(credentials);
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  listener.maxConnections = limits.connectionsMax;
  listener.listen(parts.port, parts.host);
  try {
    await once(listener, 'listening');
  } catch (error) {
    server.forceShutdown();
    throw error;
  }

  return {
    port: (listener.address() as AddressInfo).port,
    async close() {
      for (const name of names) health.setStatus(name, 'NOT_SERVING');
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      const cancel = parts.clock.after(parts.drainMs, () => {
        server.forceShutdown();
        for (const socket of sockets) socket.destroy();
      });
      // Not destroyed when this is done: an abrupt close would throw away the trailers still on their way.
      server.tryShutdown(() => {});
      await closed;
      cancel();
    },
  };
}

/** Answers the server reflection protocol (v1 and v1alpha) from the descriptors the code was generated with. */
function createReflection(files: readonly DescFile[]): ReflectionService {
  const all = new Map<string, Buffer>();
  const add = (file: DescFile) => {
    if (all.has(file.name)) return;
    all.set(file.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
    for (const dependency of file.dependencies) add(dependency);
  };
  for (const file of files) add(file);
  const definition = { files: { format: '', type: {}, fileDescriptorProtos: [...all.values()] } };
  return new ReflectionService(definition as unknown as ConstructorParameters<typeof ReflectionService>[0]);
}

/**
 * The reflection service answers every request of a stream whether or not the answers are read; a client that only
 * asks would fill the memory. A call ends when it has sent this many messages.
 */
function limitRequestMessages(messagesMax: number): ServerInterceptor {
  return (method, call) => {
    // A call with one request is left as it is: an interceptor would add a step to every message of its answer.
    if (!method.requestStream) return call as ServerInterceptingCall;
    let messages = 0;
    const counted = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage(message, pass) {
            messages += 1;
            if (messages <= messagesMax) pass(message);
            else
              counted.sendStatus({
                code: Code.RESOURCE_EXHAUSTED,
                details: `A call may send ${messagesMax} messages. Start another one.`,
              });
          },
        }),
    });
    return counted;
  };
}
