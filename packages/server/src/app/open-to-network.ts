import type { Config } from '../config.ts';
import { createApiAddresses } from '../edge/api-addresses.ts';
import type { Http } from '../edge/http.ts';
import { openListeners } from '../edge/listeners.ts';
import { type LiveFeed, openLiveFeed } from '../live/rpc.ts';
import type { Surroundings } from './backends.ts';
import type { Closers } from './closers.ts';
import type { Foundation } from './foundation.ts';
import { noteStreamRefusal } from './note-refusal.ts';
import { openDoors, type Rooms } from './routes.ts';

/** Where the server listens. */
export interface Network {
  readonly http: Http;
  readonly httpPort: number;
  /** That of `httpPort` unless the authentication API has one of its own. */
  readonly authenticationPort: number;
  readonly grpcPort: number;
}

type OpenRooms = Omit<Rooms, 'config' | 'database' | 'isClosing' | 'livefeedPort'>;

/** Opens the doors of `rooms` and listens: HTTP is made first, LiveFeed listens, and HTTP listens when all is there. */
export async function openToNetwork(
  config: Config,
  around: Surroundings,
  { backends, ...rooms }: OpenRooms & Foundation,
  closers: Closers,
): Promise<Network> {
  const { database } = backends;
  let livefeedPort: number | null = null;
  const addresses = createApiAddresses({
    isSplit: config.authentication.ownPort,
    publicUrls: { authentication: config.authentication.publicUrl, integration: config.http.publicUrl },
  });
  const http = await openDoors(
    { ...rooms, config, database, isClosing: () => closers.isClosing, livefeedPort: () => livefeedPort },
    { ...around, trustedProxies: config.http.trustedProxies, onAnswered: rooms.metrics.onAnswered, addresses },
  );
  let closeHttp: () => Promise<void> = () => http.close();
  closers.add(() => closeHttp());
  const live = await openLive(config, around, { ...rooms, backends });
  closers.add(() => live.close());
  livefeedPort = live.port;
  const listeners = await openListeners(http, {
    ...around,
    integration: config.http,
    authentication: addresses.isSplit ? config.authentication : undefined,
  });
  closeHttp = listeners.close;
  addresses.setPorts(listeners.ports);
  const { integration: httpPort, authentication: authenticationPort } = listeners.ports;
  return { http, httpPort, authenticationPort, grpcPort: live.port };
}

async function openLive(config: Config, around: Surroundings, rooms: OpenRooms & Foundation): Promise<LiveFeed> {
  const { access, sessions, refusals, metrics } = rooms;
  const { host, port, heartbeatSeconds } = config.grpc;
  const live = await openLiveFeed({
    ...around,
    host,
    port,
    reader: rooms.reader,
    doorbell: rooms.backends.doorbell,
    cursors: rooms.cursors,
    access: { ...access, authenticatePerson: sessions.authenticate },
    resolveFilter: rooms.registry.resolveFilter,
    openSlot: rooms.limitRoom.openStreamSlot,
    onSent: metrics.onSent,
    onRefused: (fault, { caller, address }) =>
      noteStreamRefusal(refusals, fault, {
        ...(caller ?? { key: access.findRefusedKey(fault) }),
        address,
        requestId: around.ids.uuid(),
      }),
    limits: { heartbeatMs: heartbeatSeconds * 1000 },
  });
  metrics.watchLiveFeed(live.counts);
  return live;
}
