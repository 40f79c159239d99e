import { chmod, mkdtemp, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgresOf, signalProcess } from '@gladhand/server/embedded-postgres/process-table.ts';

/**
 * Removes everything that a benchmark or proof creates. Folders and processes are registered when they are created and
 * removed in reverse order at the end, also after an error or Ctrl-C.
 */
export interface Scratch {
  /** Creates a new temporary folder. */
  folder(): Promise<string>;
  /** Calls `undo` at the end. Returns a function that cancels this. */
  defer(undo: () => unknown): () => void;
  /** Aborted once the clean-up has begun. Nothing new may be started then. */
  readonly signal: AbortSignal;
}

export async function withScratch<Result>(run: (scratch: Scratch) => Promise<Result>): Promise<Result> {
  const undos: (() => unknown)[] = [];
  const ending = new AbortController();
  let ended: Promise<void> | undefined;
  const end = () => {
    ending.abort();
    ended ??= undoAll(undos);
    return ended;
  };
  let exit = Promise.resolve();
  const onSignal = (signal: NodeJS.Signals) => {
    process.stderr.write(`\n${signal}: cleaning up\n`);
    exit = end().then(() => process.exit(130));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const scratch: Scratch = {
    signal: ending.signal,
    async folder() {
      const folder = await realpath(await mkdtemp(join(tmpdir(), 'gladhand-scratch-')));
      // If we are root, PostgreSQL runs under another account. It needs the x permission to reach its socket.
      await chmod(folder, 0o711);
      undos.push(() => removeFolder(folder));
      return folder;
    },
    defer(undo) {
      undos.push(undo);
      return () => {
        const place = undos.indexOf(undo);
        if (place !== -1) undos.splice(place, 1);
      };
    },
  };
  try {
    return await run(scratch);
  } finally {
    await end();
    // If a signal has begun the clean-up, it is also the reason why `run` failed.
    await exit;
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

async function undoAll(undos: (() => unknown)[]): Promise<void> {
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
    try {
      await undo();
    } catch (error) {
      process.stderr.write(`the clean-up failed: ${(error as Error).message}\n`);
    }
  }
}

/** Removes a folder. If it is the data folder of a killed server, its PostgreSQL may still run and is stopped first. */
async function removeFolder(folder: string): Promise<void> {
  for (const pid of await findPostgresOf(clusterOf(folder))) signalProcess(pid, 'SIGKILL');
  const socketFolder = await readlink(join(folder, 'postgres', 'socket')).catch(() => undefined);
  if (socketFolder !== undefined) await rm(socketFolder, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** The PostgreSQL cluster folder inside a data folder. */
export function clusterOf(dataDirectory: string): string {
  return join(dataDirectory, 'postgres', 'cluster');
}
