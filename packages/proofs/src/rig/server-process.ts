import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Scratch } from './scratch.ts';
import { waitFor } from './wait.ts';

/** The real server, as `npm start -- --no-demo` would run it, on a data folder and ports of its own. */
export interface ServerProcess {
  readonly pid: number;
  readonly exited: Promise<void>;
  /** Resolves when `GET /health/ready` answers 200; rejects when the process ends first. */
  ready(): Promise<void>;
  /** SIGKILL. */
  kill(): void;
  /** SIGTERM, as an operator would; rejects when it does not end with 0. */
  stop(): Promise<void>;
  /** The last lines it wrote. */
  lastWords(): string;
}

export interface Site {
  readonly dataDirectory: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Variables of the configuration (`GLADHAND_...`), for what has no flag. */
  readonly environment?: Readonly<Record<string, string>>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const MAIN = join(ROOT, 'packages', 'server', 'src', 'main.ts');
/** What `npm start` gives to Node. */
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
      // Neither the caller's configuration file nor its variables may colour the figures.
      cwd: site.dataDirectory,
      // Limits are counted and refuse nobody, unless the site says otherwise: what is measured is the server.
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
    if (ended !== 'exit code 0') throw complaint(`was asked to stop and ended with ${ended}`);
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

/** The sum over all labels of one metric, by its name in the exposition format, labels wanted included as written. */
export async function readMetric(site: Site, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${site.httpPort}/metrics`);
  const text = await answer.text();
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

export function readBacklog(site: Site): Promise<number> {
  return readMetric(site, 'gladhand_intake_backlog_envelopes');
}

/** Waits until everything accepted has been mapped; asks seldom, because rendering the metrics takes 10 ms of the server's thread. */
export async function waitForDrain(site: Site): Promise<void> {
  const isEmpty = async () => ((await readBacklog(site)) === 0 ? true : undefined);
  await waitFor('the backlog to drain', isEmpty, { withinMs: 300_000, everyMs: 200 });
}
