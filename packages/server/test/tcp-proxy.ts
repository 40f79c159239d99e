import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A bad wire to `targetPort` of this machine. */
export interface TcpProxy {
  readonly port: number;
  /** How long each piece takes in each direction, from now on. */
  delayMs: number;
  /** Breaks all connections and refuses new ones, until `mend`. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function openTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let delayMs = 0;
  let isCut = false;

  function forward(from: Socket, to: Socket): void {
    sockets.add(from);
    const pass = (run: () => void) => (delayMs === 0 ? run() : setTimeout(run, delayMs));
    from.on('data', (piece) => pass(() => to.writable && to.write(piece)));
    from.on('error', () => {});
    from.on('close', () => {
      sockets.delete(from);
      pass(() => to.destroy());
    });
  }

  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const target = connect(targetPort, '127.0.0.1');
    forward(client, target);
    forward(target, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dropAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    get delayMs() {
      return delayMs;
    },
    set delayMs(ms) {
      delayMs = ms;
    },
    cut() {
      isCut = true;
      dropAll();
    },
    mend() {
      isCut = false;
    },
    async close() {
      dropAll();
      server.close();
      await once(server, 'close');
    },
  };
}
