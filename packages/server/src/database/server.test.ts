import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { systemClock } from '@gladhand/base/clock.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { findFreePort } from '@gladhand/proofs/rig/installed-postgres.ts';
import { expect, inject, onTestFinished, test } from 'vitest';
import { openPostgresServer } from './server.ts';

const open = (url: string) => openPostgresServer({ url, log: silentLogger, clock: systemClock });

test('what is not a PostgreSQL URL is refused with an example, without what was given', async () => {
  for (const url of ['', 'localhost', 'mysql://u:hunter2@h/d', 'postgres://u:hunter2@h:port/d']) {
    const refusal: Error = await open(url).then(
      () => expect.unreachable(url),
      (error) => error,
    );
    expect(refusal.name, url).toBe('StartRefusal');
    expect(refusal.message).toContain('DATABASE_URL is not a PostgreSQL URL');
    expect(refusal.message).not.toContain('hunter2');
  }
});

test('a server that does not answer is refused with its address and without the password', async () => {
  const port = await findFreePort();
  await expect(open(`postgres://sam:hunter2@127.0.0.1:${port}/fleet`)).rejects.toThrow(
    `The PostgreSQL at 127.0.0.1:${port}/fleet cannot be used: nothing there answers (ECONNREFUSED). Check DATABASE_URL and the server.`,
  );
});

const ownServer = process.env['GLADHAND_TEST_DATABASE_URL'] === undefined;

test.runIf(ownServer)(
  'a wrong password and a missing database are told apart, and neither sentence has the password',
  async () => {
    const { connection } = inject('postgres');
    const url = (password: string, database: string) =>
      `postgres://${connection.user}:${password}@/${database}?host=${encodeURIComponent(connection.host)}&port=${connection.port}`;
    await expect(open(url('hunter2', 'postgres'))).rejects.toThrow(
      'it did not accept the user gladhand or the password',
    );
    await expect(open(url(connection.password, 'nowhere'))).rejects.toThrow('it has no such database');
    const host = await open(url(connection.password, 'postgres'));
    expect(host.state).toBe('ready');
    expect(host.place).not.toContain(connection.password);
    await host.close();
  },
);

/** Speaks just enough of the protocol (PostgreSQL manual, 55.2) to be a server of some version. */
async function startImpostor(versionNumber: number): Promise<number> {
  const sockets = new Set<Socket>();
  const message = (type: string, body: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(body.length + 4);
    return Buffer.concat([Buffer.from(type), length, body]);
  };
  const ready = message('Z', Buffer.from('I'));
  const text = String(versionNumber);
  const row = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, text.length]), Buffer.from(text)]);
  const description = Buffer.concat([
    Buffer.from([0, 1]),
    Buffer.from('version\0'),
    Buffer.alloc(6),
    Buffer.from([0, 0, 0, 23, 0, 4]),
    Buffer.alloc(6),
  ]);
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]));
      socket.on('data', (data) => {
        if (data.toString('latin1', 0, 1) !== 'Q') return;
        socket.write(
          Buffer.concat([message('T', description), message('D', row), message('C', Buffer.from('SELECT 1\0')), ready]),
        );
      });
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

test('a PostgreSQL older than 15 is refused with its version', async () => {
  const port = await startImpostor(14);
  await expect(open(`postgres://sam@127.0.0.1:${port}/fleet`)).rejects.toThrow(
    'is version 14, and Gladhand needs 15 or newer',
  );
});
