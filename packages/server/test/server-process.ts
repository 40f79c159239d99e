import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A real server process in a folder of its own. `said` is what it wrote for people, on stderr. */
export interface ServerProcess {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly said: () => string;
  readonly logged: () => string;
  /** Resolves once `pattern` has been said. */
  waitFor(pattern: RegExp): Promise<string>;
  /** Signals it and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..');

export function startServer(
  args: readonly string[],
  options: { directory?: string; env?: NodeJS.ProcessEnv } = {},
): ServerProcess {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'gladhand-process-'));
  const child = spawn(process.execPath, [join(ROOT, 'packages/server/src/main.ts'), ...args], {
    cwd: directory,
    env: { ...process.env, NODE_ENV: 'test', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let logged = '';
  child.stdout.on('data', (chunk: Buffer) => (logged += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const stop: ServerProcess['stop'] = async (signal = 'SIGINT') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const [code, by] = await ended;
    return { code, signal: by };
  };
  onTestFinished(async () => {
    await stop();
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  });
  return {
    child,
    directory,
    said: () => said,
    logged: () => logged,
    stop,
    waitFor: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(said)) resolve(said);
        };
        child.stderr.on('data', look);
        void ended.then(([code]) =>
          reject(
            new Error(`the server ended with ${code} before it said ${pattern}:\n${said}\n${logged.slice(-2000)}`),
          ),
        );
        look();
      }),
  };
}
