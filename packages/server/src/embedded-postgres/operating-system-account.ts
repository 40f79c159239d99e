import { chown, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Who PostgreSQL runs as, when that is not ourselves: it refuses to run as root, so root hands it down. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody` on every Linux; PostgreSQL needs no name, no home and no entry in the password file. */
const NOBODY: Account = { uid: 65534, gid: 65534 };

/**
 * The account for PostgreSQL: undefined (ourselves) unless we are root; then the owner of the first of `folders` that
 * exists and is not root's, else nobody.
 */
export async function findAccount(folders: readonly string[]): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const folder of folders) {
    const owner = await stat(folder).catch(() => undefined);
    if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  }
  return NOBODY;
}

/** Gives `path` to `account`, when there is one. */
export async function give(path: string, account: Account | undefined): Promise<void> {
  if (account !== undefined) await chown(path, account.uid, account.gid);
}

/** Whether `account` may enter every folder on the way to `path`, and read and run (or enter) `path` itself. */
export async function canReach(path: string, account: Account | undefined): Promise<boolean> {
  if (account === undefined) return true;
  for (let place = path; ; place = dirname(place)) {
    const { uid, gid, mode } = await stat(place);
    const bits = uid === account.uid ? mode >> 6 : gid === account.gid ? mode >> 3 : mode;
    const needed = place === path ? 0o5 : 0o1;
    if ((bits & needed) !== needed) return false;
    if (place === dirname(place)) return true;
  }
}
