import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Clock, sleep } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Binaries } from './binaries.ts';
import type { ClusterHome } from './cluster-home.ts';
import { findPostgresOf, isPostgresOf, isTaken, signalProcess } from './process-table.ts';
import { embeddedSettings } from './settings.ts';

/** A fast shutdown writes a checkpoint: at most the 64 MB of shared buffers and the log's tail. */
const FAST_SHUTDOWN_MS = 10_000;
const IMMEDIATE_SHUTDOWN_MS = 3_000;
const POLL_MS = 20;
/** How many of PostgreSQL's last lines an error about it may quote. */
const LAST_LINES_MAX = 10;

/** One run of the server: from ready to gone. */
export interface Postmaster {
  readonly pid: number;
  /** Resolves with a description when the process has ended and was reaped. */
  readonly exited: Promise<string>;
  /** Shuts down: fast, then immediately, then by force; resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL on a cluster nobody else runs and resolves when it accepts connections, which after a crash may
 * take as long as replaying its log; rejects if it ends first, as it is made to when `signal` aborts.
 */
export async function startPostmaster(options: {
  home: ClusterHome;
  binaries: Binaries;
  socketFolder: string;
  log: Logger;
  clock: Clock;
  signal: AbortSignal;
}): Promise<Postmaster> {
  const { home, log, clock, signal } = options;
  const settings = Object.entries(embeddedSettings(options.socketFolder));
  const child = home.run(options.binaries.postgres, [
    '-D',
    `${home.seenPath}/cluster`,
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]);
  const lastLines: string[] = [];
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: child.stderr! }).on('line', (line) => {
      if (lastLines.push(line) > LAST_LINES_MAX) lastLines.shift();
      log[/^(FATAL|PANIC):/.test(line) ? 'warn' : 'debug']({ postgres: line }, 'PostgreSQL says');
      if (line.endsWith('database system is ready to accept connections')) resolve();
    });
  });
  const { pid } = child;
  const stop = async () => {
    let gone = pid === undefined;
    void exited.then(() => {
      gone = true;
    });
    for (const [shutdown, waitMs] of SHUTDOWN) {
      if (gone) return;
      child.kill(shutdown);
      await Promise.race([exited, sleep(clock, waitMs)]);
    }
    await exited;
  };
  const abandon = () => void stop();
  signal.addEventListener('abort', abandon, { once: true });
  if (signal.aborted) abandon();
  const early = await Promise.race([ready, exited]);
  signal.removeEventListener('abort', abandon);
  if (pid === undefined || early !== undefined) {
    // The lines may still be on their way when the exit is already known.
    await new Promise<void>((resolve) => (child.stderr!.closed ? resolve() : child.stderr!.once('close', resolve)));
    throw new StartRefusal(
      `PostgreSQL could not start in ${home.cluster} (${early}): ${lastLines.join(' ') || 'it gave no reason'}`,
    );
  }
  void exited.then(guard(pid, home));
  return { pid, exited, stop };
}

/** Each signal, and how long it is given before the next, ruder one. */
const SHUTDOWN: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGINT', FAST_SHUTDOWN_MS],
  ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS],
  ['SIGKILL', 0],
];

/**
 * Ends PostgreSQL soon after us, should we be killed: a shell that waits for the end of a pipe only we hold. A
 * courtesy to the machine; what a next start finds is dealt with by `stopLeftovers` either way.
 */
function guard(pid: number, home: ClusterHome): () => void {
  const shell = spawn('/bin/sh', ['-c', 'read -r _; kill -INT "$1"', 'gladhand-postgres-guard', String(pid)], {
    cwd: '/',
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    ...home.account,
  });
  shell.on('error', () => {});
  shell.stdin.on('error', () => {});
  return () => void shell.kill('SIGKILL');
}

/**
 * Clears what an earlier server left behind on this cluster: stops an orphaned postmaster and stray backends, and
 * removes a `postmaster.pid` whose number now means a stranger or a zombie, at which PostgreSQL itself would refuse
 * to start. Only called while we hold the folder's lock, so whatever runs here belongs to no living server of ours.
 */
export async function stopLeftovers(home: ClusterHome, log: Logger, clock: Clock): Promise<void> {
  const lockFile = join(home.cluster, 'postmaster.pid');
  const pid = Number.parseInt(await readFile(lockFile, 'utf8').catch(() => ''), 10);
  if (pid > 1 && (await isPostgresOf(pid, home.cluster))) {
    log.info({ pid }, 'Stopping the PostgreSQL of a server that ended without closing it');
    for (const [signal, waitMs] of SHUTDOWN) {
      if (!signalOrRefuse(pid, signal, home)) break;
      if (await isGoneWithin(async () => !(await isPostgresOf(pid, home.cluster)), waitMs, clock)) break;
    }
  }
  // Backends notice a dead postmaster when they next wait for something; one in a long computation may not for a while.
  for (const stray of await findPostgresOf(home.cluster)) signalOrRefuse(stray, 'SIGKILL', home);
  await isGoneWithin(async () => (await findPostgresOf(home.cluster)).length === 0, IMMEDIATE_SHUTDOWN_MS, clock);
  if (pid > 1 && isTaken(pid) && !(await isPostgresOf(pid, home.cluster))) await rm(lockFile, { force: true });
}

function signalOrRefuse(pid: number, signal: NodeJS.Signals, home: ClusterHome): boolean {
  try {
    return signalProcess(pid, signal);
  } catch (error) {
    throw new StartRefusal(
      `A PostgreSQL left by an earlier server (process ${pid}) still runs on ${home.cluster} under another account. Stop it first, for example with: kill -INT ${pid}`,
      error,
    );
  }
}

async function isGoneWithin(isGone: () => Promise<boolean>, waitMs: number, clock: Clock): Promise<boolean> {
  const end = clock.monotonicMs() + waitMs;
  for (;;) {
    if (await isGone()) return true;
    if (clock.monotonicMs() >= end) return false;
    await sleep(clock, POLL_MS);
  }
}
