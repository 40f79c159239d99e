import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Scratch } from './scratch.ts';
import { waitFor } from './wait.ts';

/** A real server process, started as by `npm start -- --no-demo`, with its own data folder and ports. */
export interface ServerProcess {
  readonly pid: number;
  readonly exited: Promise<void>;
  /** Resolves when `GET /health/ready` answers 200. Rejects if the process ends first. */
  ready(): Promise<void>;
  /** Sends SIGKILL. */
  kill(): void;
  /** Sends SIGTERM, as an operator does. Rejects if the exit code is not 0. */
  stop(): Promise<void>;
  /** The last lines of its output, for error messages. */
  lastWords(): string;
}

export interface Site {
  readonly dataDirectory: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Configuration variables (`GLADHAND_...`), for settings without a flag. */
  readonly environment?: Readonly<Record<string, string>>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const MAIN = join(ROOT, 'packages', 'server', 'src', 'main.ts');
/** Finds the Node flags in the `npm start` script. */
const START_FLAGS = /^node((?: --\S+)*) packages/
  .exec(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts.start)![1]!
  .split(' ')
  .filter((flag) => flag !== '');
const LAST_LINES_MAX = 30;

export async function createSite(scratch: Scratch): Promise<Site> {
  return { dataDirectory: await scratch.folder(), httpPort: await freePort(), grpcPort: await freePort() };
}

export function startServer(scratch: Scratch, site: Site, nodeArguments: readonly string[] = []): ServerProcess {
  const child = spawn(
    process.execPath,
    [
      ...START_FLAGS,
      ...nodeArguments,
      MAIN,
      'serve',
      '--no-demo',
      '--log-level',
      'warn',
      '--data-directory',
      site.dataDirectory,
      '--http-port',
      String(site.httpPort),
      '--grpc-port',
      String(site.grpcPort),
    ],
    {
      // The caller's configuration file must not change the result. `env` does the same for its variables.
      cwd: site.dataDirectory,
      // Limits are counted but refuse no request, unless the site sets them. Otherwise the limits would be measured.
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        TMPDIR: process.env.TMPDIR,
        GLADHAND_LIMITS_MODE: 'report',
        ...site.environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  );
  const lastLines: string[] = [];
  for (const output of [child.stdout, child.stderr]) {
    createInterface({ input: output }).on('line', (line) => {
      if (lastLines.push(line) > LAST_LINES_MAX) lastLines.shift();
    });
  }
  let ended: string | undefined;
  const exited = once(child, 'exit').then(([code, signal]) => {
    ended = signal ?? `exit code ${code}`;
  });
  const complaint = (what: string) => new Error(`the server ${what}:\n${lastLines.join('\n')}`);
  const end = async () => {
    if (ended === undefined) child.kill('SIGTERM');
    await exited;
  };
  const stop = async () => {
    if (ended !== undefined) return;
    await end();
    if (ended !== 'exit code 0') throw complaint(`was stopped with SIGTERM and ended with ${ended}`);
  };
  const callOff = scratch.defer(end);
  void exited.then(callOff);
  return {
    pid: child.pid!,
    exited,
    async ready() {
      await waitFor('the server to be ready', async () => {
        if (ended !== undefined) throw complaint(`ended with ${ended} before it was ready`);
        const answer = await fetch(`http://127.0.0.1:${site.httpPort}/health/ready`).catch(() => undefined);
        await answer?.arrayBuffer().catch(() => undefined);
        return answer?.ok ? true : undefined;
      });
    },
    kill: () => void child.kill('SIGKILL'),
    stop,
    lastWords: () => complaint('said last').message,
  };
}

/** Makes Node write a CPU profile into `folder` when the server ends. */
export function profileArguments(folder: string | undefined): string[] {
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(folder)}`];
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A partner's or customer's access token. */
export async function authenticate(site: Site, audience: 'partner' | 'customer', key: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${site.httpPort}/api/v1/${audience}s/authenticate`, {
    method: 'POST',
    headers: { 'x-api-key': key },
  });
  if (!answer.ok) throw new Error(`${audience} authentication: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { accessToken: string }).accessToken;
}

/** The sum of a metric over all its labels. `name` is as in the exposition format and may end with labels to select. */
export async function readMetric(site: Site, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${site.httpPort}/metrics`);
  const text = await answer.text();
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

export function readBacklog(site: Site): Promise<number> {
  return readMetric(site, 'gladhand_intake_backlog_envelopes');
}

/** Waits until every accepted envelope is mapped. It asks every 200 ms only: each answer takes 10 ms of the server's thread. */
export async function waitForDrain(site: Site): Promise<void> {
  const isEmpty = async () => ((await readBacklog(site)) === 0 ? true : undefined);
  await waitFor('the backlog to drain', isEmpty, { withinMs: 300_000, everyMs: 200 });
}
