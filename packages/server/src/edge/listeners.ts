import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '@gladhand/base/clock.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import { type Api, markAuthenticationPort } from './api-addresses.ts';
import { HTTP_LIMITS, type Http, serverOptions } from './http.ts';
import { answerForNode } from './node-answers.ts';

/**
 * The ports of HTTP: one, or a second one for the authentication API. Promise: requests of both go to the same routes,
 * hooks and limits; all that differs is a mark on those of the second. `close` answers what is under way, tells what
 * still comes to come again, and leaves no connection behind. Fails to open when a port is taken.
 */
export interface Listeners {
  readonly ports: Readonly<Record<Api, number>>;
  close(): Promise<void>;
}

interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface ListenersParts {
  readonly integration: ListenAddress;
  /** Undefined: both APIs are on one port. */
  readonly authentication: ListenAddress | undefined;
  readonly ids: Ids;
  readonly clock: Clock;
}

/** How often connections that have become idle are looked for while closing: Node closes only those that are. */
const SWEEP_MS = 50;

/** Listens on both ports; closes what it has opened, `http` included, when it cannot. */
export async function openListeners(http: Http, parts: ListenersParts): Promise<Listeners> {
  const servers: Server[] = [http.server];
  async function close(): Promise<void> {
    let cancel = () => {};
    const sweep = () => {
      for (const server of servers) server.closeIdleConnections();
      cancel = parts.clock.after(SWEEP_MS, sweep);
    };
    sweep();
    await http.close();
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    cancel();
  }
  try {
    const { integration, authentication } = parts;
    await http.listen({ host: integration.host, port: integration.port });
    const port = portOf(http.server);
    if (authentication === undefined) return { ports: { integration: port, authentication: port }, close };
    const server = createAuthenticationServer(http, parts);
    server.listen(authentication.port, authentication.host);
    await once(server, 'listening');
    servers.push(server);
    return { ports: { integration: port, authentication: portOf(server) }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function createAuthenticationServer(http: Http, parts: ListenersParts): Server {
  const route = (request: IncomingMessage, response: ServerResponse) => {
    markAuthenticationPort(request);
    http.routing(request, response);
  };
  const server = createServer(serverOptions(HTTP_LIMITS), route);
  server.maxConnections = HTTP_LIMITS.connectionsMax;
  answerForNode(server, route, parts);
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
