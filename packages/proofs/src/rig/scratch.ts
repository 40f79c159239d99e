import { chmod, mkdtemp, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgresOf, signalProcess } from '@gladhand/server/embedded-postgres/process-table.ts';

/**
 * What a bench or proof leaves behind: nothing. Folders and processes are entered here when they are made and undone
 * last to first at the end, whether it came by itself, by an error or by Ctrl-C.
 */
export interface Scratch {
  /** A new folder of its own in the temporary folder. */
  folder(): Promise<string>;
  /** Calls `undo` at the end; the answer calls it off. */
  defer(undo: () => unknown): () => void;
  /** Aborted when the end has begun: nothing new is started then. */
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
      // PostgreSQL runs under another account when we are root, and has to walk to its socket.
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
    // A signal may have begun the end, and `run` failed for that very reason.
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
      process.stderr.write(`cleaning up: ${(error as Error).message}\n`);
    }
  }
}

/** A data folder whose server was killed may still have its PostgreSQL at work in it. */
async function removeFolder(folder: string): Promise<void> {
  for (const pid of await findPostgresOf(clusterOf(folder))) signalProcess(pid, 'SIGKILL');
  const socketFolder = await readlink(join(folder, 'postgres', 'socket')).catch(() => undefined);
  if (socketFolder !== undefined) await rm(socketFolder, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** PostgreSQL's own folder inside a data folder. */
export function clusterOf(dataDirectory: string): string {
  return join(dataDirectory, 'postgres', 'cluster');
}
