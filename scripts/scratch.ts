import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgresOf, signalProcess } from '../packages/server/src/database/process-table.ts';

/**
 * What a bench or proof leaves behind: nothing. Folders and processes are entered here when they are made and undone
 * last to first at the end, whether it came by itself, by an error or by Ctrl-C.
 */
export interface Scratch {
  /** A new folder of its own in the temporary folder. */
  folder(): Promise<string>;
  /** Calls `undo` at the end; the answer calls it off. */
  defer(undo: () => unknown): () => void;
}

export async function withScratch<Result>(run: (scratch: Scratch) => Promise<Result>): Promise<Result> {
  const undos: (() => unknown)[] = [];
  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= undoAll(undos);
    return ending;
  };
  const onSignal = (signal: NodeJS.Signals) => {
    process.stderr.write(`\n${signal}: cleaning up\n`);
    void end().finally(() => process.exit(130));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const scratch: Scratch = {
    async folder() {
      const folder = await realpath(await mkdtemp(join(tmpdir(), 'gladhand-scratch-')));
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
    // A signal may have begun to clean up while `run` failed for that very reason.
    await end();
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
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** PostgreSQL's own folder inside a data folder. */
export function clusterOf(dataDirectory: string): string {
  return join(dataDirectory, 'postgres', 'cluster');
}
