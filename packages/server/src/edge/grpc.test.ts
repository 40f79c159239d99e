import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { systemClock } from '@gladhand/base/clock.ts';
import { expect, onTestFinished, test } from 'vitest';
import { createArrayStore, openHarness } from '../../test/live-feed.ts';
import { GRPC_LIMITS, openGrpc } from './grpc.ts';

/** A client that says hello as HTTP/2 does (preface, empty SETTINGS) and nothing after that. */
async function greet(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(
    Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
  );
  return socket;
}

test('a connection whose client no longer answers is closed', async () => {
  const { feed } = await openHarness(createArrayStore().reader, {
    grpcLimits: { ...GRPC_LIMITS, pingEveryMs: 20, pingTimeoutMs: 20 },
  });
  const socket = await greet(feed.port);
  socket.resume();
  await once(socket, 'close');
});

test('a connection without a stream is closed', async () => {
  const { feed } = await openHarness(createArrayStore().reader, { grpcLimits: { ...GRPC_LIMITS, idleMs: 20 } });
  const [greeted, silent] = [await greet(feed.port), connect(feed.port, '127.0.0.1')];
  onTestFinished(() => void silent.destroy());
  for (const socket of [greeted, silent]) socket.resume();
  await Promise.all([once(greeted, 'close'), once(silent, 'close')]);
});

test('what is not HTTP/2 is hung up on, and the server lives on', async () => {
  const { feed, connect: subscribe } = await openHarness(createArrayStore().reader);
  for (const bytes of [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    '\0'.repeat(100),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff',
  ]) {
    const socket = connect(feed.port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    socket.write(bytes, 'latin1');
    await once(socket, 'close');
  }
  await subscribe().begun();
});

test('no more connections are taken than the limit', async () => {
  const { feed, connect: subscribe } = await openHarness(createArrayStore().reader, {
    grpcLimits: { ...GRPC_LIMITS, connectionsMax: 1 },
  });
  const first = subscribe();
  await first.begun();
  const second = await greet(feed.port);
  second.resume();
  await once(second, 'close');
  first.stream.cancel();
});

test('a taken port refuses to open', async () => {
  const { feed } = await openHarness(createArrayStore().reader);
  await expect(
    openGrpc({ host: '127.0.0.1', port: feed.port, services: [], clock: systemClock, drainMs: 0 }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
