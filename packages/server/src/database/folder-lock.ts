import { chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StartRefusal } from '../base/start-refusal.ts';
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

/** Thrown when another process holds the lock. */
export class FolderInUse extends StartRefusal {}

/** Locks `home` for this process, or throws `FolderInUse`, which names the data folder and the holder. */
export function openFolderLock(home: ClusterHome, dataFolder: string): FolderLock {
  const lockFile = join(home.path, 'lock');
  const holderFile = join(home.path, 'lock-holder');
  const lock = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    lock.exec('pragma journal_mode = memory; begin exclusive');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new FolderInUse(
      `The data folder ${dataFolder} is in use by another Gladhand server or command${describeHolder(holderFile)}. Stop it first, or give this server a data folder of its own.`,
    );
  }
  writeFileSync(holderFile, `${process.pid}\n`);
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

function describeHolder(holderFile: string): string {
  try {
    return ` (process ${Number(readFileSync(holderFile, 'utf8'))})`;
  } catch {
    return '';
  }
}
