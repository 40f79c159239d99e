import { chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { ClusterHome } from './cluster-home.ts';

/**
 * One server per data folder. The lock is the operating system's: an exclusive lock on a file (fcntl, through the
 * SQLite built into Node, which has no lock call of its own). It ends with the process that holds it, however that
 * dies, so there is nothing stale to judge; a reused pid or another container's pid cannot deceive it. The file beside
 * it names the holder's pid, for the sentence of the refusal only.
 */
export interface FolderLock {
  release(): void;
}

/** What a process has the folder for: to serve, or for one command that ends soon. */
export type HeldFor = 'server' | 'command';

/** Thrown when another process holds the lock. */
export class FolderInUse extends StartRefusal {
  readonly heldFor: HeldFor;
  constructor(dataFolder: string, { heldFor, pid }: Holder) {
    const process = pid === undefined ? '' : ` (process ${pid})`;
    super(
      `The data folder ${dataFolder} is in use by another Gladhand ${heldFor}${process}. Stop that ${heldFor} first, or give this one a data folder of its own.`,
    );
    this.heldFor = heldFor;
  }
}

interface Holder {
  readonly heldFor: HeldFor;
  readonly pid?: number;
}

/** Locks `home` for this process, or throws `FolderInUse`, which names the data folder and the holder. */
export function openFolderLock(home: ClusterHome, dataFolder: string, heldFor: HeldFor = 'server'): FolderLock {
  const lockFile = join(home.path, 'lock');
  const holderFile = join(home.path, 'lock-holder');
  const lock = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    lock.exec('pragma journal_mode = memory; begin exclusive');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new FolderInUse(dataFolder, readHolder(holderFile));
  }
  writeFileSync(holderFile, `${process.pid} ${heldFor}\n`);
  for (const file of home.keeper === undefined ? [] : [lockFile, holderFile]) {
    chownSync(file, home.keeper!.uid, home.keeper!.gid);
  }
  return {
    release() {
      rmSync(holderFile, { force: true });
      lock.close();
    },
  };
}

const SQLITE_BUSY = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && (error as { errcode?: number }).errcode === SQLITE_BUSY;
}

/** It may not have written who it is yet, or be gone by now: then it is as good as a server. */
function readHolder(holderFile: string): Holder {
  try {
    const [pid, heldFor] = readFileSync(holderFile, 'utf8').trim().split(' ');
    return { heldFor: heldFor === 'command' ? 'command' : 'server', pid: Number(pid) };
  } catch {
    return { heldFor: 'server' };
  }
}
