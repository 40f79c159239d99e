import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findFreePort } from './installed-postgres.ts';

/** The path of Redis from Debian's `redis-server` package. */
export const REDIS_PROGRAM = '/usr/bin/redis-server';

export const hasInstalledRedis = existsSync(REDIS_PROGRAM);

/** A Redis from the machine's package, in a temporary folder and on a free port. It stores nothing on disk. */
export interface InstalledRedis {
  readonly port: number;
  readonly url: string;
  /** The id of the current process. It changes with each start. */
  readonly pid: number;
  /** Sends SIGKILL. Resolves when the process has ended. All its data is lost. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Sends SIGSTOP: connections stay open, and no request is answered. */
  stop(): void;
  /** Sends SIGCONT. */
  resume(): void;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

export async function openInstalledRedis(): Promise<InstalledRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'gladhand-redis-'));
  const port = await findFreePort();
  let server: ChildProcess;

  async function start(): Promise<void> {
    const settings = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      folder,
    ];
    server = spawn(REDIS_PROGRAM, settings, { stdio: ['ignore', 'pipe', 'ignore'] });
    const lines: string[] = [];
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: server.stdout! }).on('line', (line) => {
        lines.push(line);
        if (/ready to accept connections/i.test(line)) resolve();
      });
      server.once('exit', () => reject(new Error(`redis-server ended: ${lines.join('\n')}`)));
      server.once('error', reject);
    });
  }

  async function kill(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }

  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return server.pid!;
    },
    kill,
    start,
    stop: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    async close() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
