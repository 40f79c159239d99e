import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The folder of PostgreSQL 15 from Debian's `postgresql` package. It is the oldest supported version. */
const PROGRAMS = '/usr/lib/postgresql/15/bin';
const ACCOUNT = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

export const hasInstalledPostgres = existsSync(join(PROGRAMS, 'postgres'));

/** A PostgreSQL 15 from the machine's package, in a temporary folder and on a free TCP port: an external server. */
export interface InstalledPostgres {
  readonly url: string;
  /** Sends SIGKILL. Resolves when the process has ended. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

export async function openInstalledPostgres(): Promise<InstalledPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'gladhand-pg15-'));
  const cluster = join(folder, 'cluster');
  await mkdir(cluster, { mode: 0o700 });
  if (ACCOUNT.uid !== undefined) {
    await chown(folder, ACCOUNT.uid, ACCOUNT.gid);
    await chown(cluster, ACCOUNT.uid, ACCOUNT.gid);
  }
  const options = { cwd: '/', env: { LC_ALL: 'C' }, ...ACCOUNT };
  const initdb = spawn(
    join(PROGRAMS, 'initdb'),
    ['-D', cluster, '-U', 'gladhand', '--auth=trust', '-E', 'UTF8', '--no-sync'],
    {
      ...options,
      stdio: 'ignore',
    },
  );
  const [code] = await once(initdb, 'exit');
  if (code !== 0) throw new Error(`initdb of PostgreSQL 15 ended with ${code}`);
  const port = await findFreePort();
  let server: ChildProcess;

  /** Starts it, and tries again while backends that outlived a SIGKILL still hold the shared memory. */
  async function start(): Promise<void> {
    while (!(await tryToStart())) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async function tryToStart(): Promise<boolean> {
    const settings = [
      `port=${port}`,
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${folder}`,
      'timezone=Asia/Tokyo',
    ];
    server = spawn(join(PROGRAMS, 'postgres'), ['-D', cluster, ...settings.flatMap((setting) => ['-c', setting])], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const lines: string[] = [];
    return await new Promise<boolean>((resolve, reject) => {
      createInterface({ input: server.stderr! }).on('line', (line) => {
        lines.push(line);
        if (line.includes('ready to accept connections')) resolve(true);
        if (line.includes('shared memory block') && line.includes('still in use')) resolve(false);
      });
      server.once('exit', () => reject(new Error(`PostgreSQL 15 ended: ${lines.join('\n')}`)));
    });
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill(signal);
    await once(server, 'exit');
  }

  await start();
  return {
    url: `postgres://gladhand@127.0.0.1:${port}/postgres`,
    kill: () => stop('SIGKILL'),
    start,
    async close() {
      await stop('SIGQUIT');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function findFreePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  listener.close();
  await once(listener, 'close');
  return port;
}
