import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readlink, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { type Account, canReach, findAccount, give } from './operating-system-account.ts';

/**
 * The folder of the embedded server inside the data folder, and how its programs are run: as which account, and under
 * which name they see the folder. An unprivileged account often cannot walk to a folder of root's (`/root` is 0700),
 * so on Linux it is handed the open folder as descriptor 3 and reaches its cluster through `/proc/self/fd/3`.
 */
export interface ClusterHome {
  /** Ours: holds the lock, the password and whatever PostgreSQL must not touch. */
  readonly path: string;
  /** PostgreSQL's data directory, 0700 and the account's. */
  readonly cluster: string;
  readonly account: Account | undefined;
  /**
   * Whom the files of `path` itself are given to: the account if the data folder is its own, so that it can also start
   * the server without root; undefined (ourselves) otherwise.
   */
  readonly keeper: Account | undefined;
  /** The name under which a program run by `run` sees `path`. */
  readonly seenPath: string;
  /** Starts a program as the account, in a session of its own: a terminal's Ctrl-C must reach us alone. */
  run(program: string, args: readonly string[]): ChildProcess;
  close(): void;
}

const FOLDER_FD = 3;

export async function openClusterHome(directory: string): Promise<ClusterHome> {
  const path = join(directory, 'postgres');
  const cluster = join(path, 'cluster');
  let account: Account | undefined;
  let keeper: Account | undefined;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    account = await findAccount([cluster, directory]);
    await refuseForeign(cluster, account);
    keeper = account !== undefined && (await stat(directory)).uid === account.uid ? account : undefined;
    await mkdir(path, { recursive: true });
    await give(path, keeper);
    await chmod(path, account === undefined || keeper !== undefined ? 0o700 : 0o711);
  } catch (error) {
    if (error instanceof StartRefusal) throw error;
    throw new StartRefusal(
      `The data folder ${directory} cannot be used: ${(error as Error).message}. Make it writable for this user, or give the server another data folder.`,
      error,
    );
  }
  const byDescriptor = account !== undefined && process.platform === 'linux';
  const fd = byDescriptor ? openSync(path, 'r') : undefined;
  return {
    path,
    cluster,
    account,
    keeper,
    seenPath: fd === undefined ? path : `/proc/self/fd/${FOLDER_FD}`,
    run(program, args) {
      return spawn(program, args, {
        cwd: '/',
        env: { LC_ALL: 'C', TZ: 'UTC' },
        stdio: ['ignore', 'ignore', 'pipe', ...(fd === undefined ? [] : [fd])],
        detached: true,
        ...account,
      });
    },
    close() {
      if (fd !== undefined) closeSync(fd);
    },
  };
}

async function refuseForeign(cluster: string, account: Account | undefined): Promise<void> {
  const ours = account?.uid ?? process.getuid?.();
  const owner = (await stat(cluster).catch(() => undefined))?.uid;
  if (owner === undefined || owner === ours) return;
  throw new StartRefusal(
    `The database in ${cluster} belongs to another account (uid ${owner}; this server runs as ${ours}). Start the server as that account or as root, or change the owner of the whole data folder.`,
  );
}

/** sun_path holds 108 bytes on Linux and 104 on macOS, the terminating NUL included. */
const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103;
/** The port only names the socket file; nothing listens on TCP. */
export const SOCKET_PORT = 5432;
/** In the home: the folder itself, or a link to it. */
const SOCKET_FOLDER = 'socket';
const TEMPORARY_PREFIX = 'gladhand-socket-';

/**
 * Chooses the private folder for the server's socket: in the home, or a short one in the temporary folder when that
 * path is too long or the account cannot walk to it. The home then holds a link to it, by which the next start finds
 * and removes the folder of a server that was killed.
 */
export async function openSocketFolder(home: ClusterHome): Promise<string> {
  const near = join(home.path, SOCKET_FOLDER);
  await removeSocketFolder(home);
  const fits = Buffer.byteLength(`${near}/.s.PGSQL.${SOCKET_PORT}.lock`) <= SOCKET_PATH_BYTES_MAX;
  if (fits && (await canReach(home.path, home.account))) {
    await ensureSocketFolder(home, near);
    return near;
  }
  const far = await mkdtemp(join(tmpdir(), TEMPORARY_PREFIX));
  await symlink(far, near);
  await give(far, home.account);
  return far;
}

/** The folder that `openSocketFolder` chose last, in whatever process. */
export async function findSocketFolder(homePath: string): Promise<string> {
  const near = join(homePath, SOCKET_FOLDER);
  return readlink(near).catch(() => near);
}

/** Makes the folder again should it be gone: temporary folders get cleaned. */
export async function ensureSocketFolder(home: ClusterHome, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await give(folder, home.account);
}

export async function removeSocketFolder(home: ClusterHome): Promise<void> {
  const near = join(home.path, SOCKET_FOLDER);
  const far = await readlink(near).catch(() => undefined);
  if (far?.startsWith(join(tmpdir(), TEMPORARY_PREFIX))) await rm(far, { recursive: true, force: true });
  await rm(near, { recursive: true, force: true });
}
