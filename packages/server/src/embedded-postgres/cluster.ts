import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Ids } from '@gladhand/base/ids.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Binaries } from './binaries.ts';
import type { ClusterHome } from './cluster-home.ts';
import { give } from './operating-system-account.ts';

/** In the cluster's home. */
export const PASSWORD_FILE = 'password';
/** The one role there is so far: owner of the schema and superuser. */
export const OWNER = 'gladhand';
/** The major version whose files our binaries read. */
const MAJOR = '18';
const PASSWORD_BYTES = 32;

/**
 * Makes sure `home.cluster` holds a whole PostgreSQL cluster and gives its password. A first start creates both: the
 * cluster is made under another name and renamed when done, so an interrupted creation simply starts over.
 */
export async function ensureCluster(
  home: ClusterHome,
  binaries: Binaries,
  ids: Ids,
  onProgress: (step: string) => void,
): Promise<string> {
  const passwordFile = join(home.path, PASSWORD_FILE);
  const password = await readIfThere(passwordFile);
  const version = await readIfThere(join(home.cluster, 'PG_VERSION'));
  if (version === undefined) {
    onProgress('Creating the database');
    const fresh = password ?? ids.randomBytes(PASSWORD_BYTES).toString('base64url');
    await writeDurably(passwordFile, fresh);
    await give(passwordFile, home.keeper);
    await createCluster(home, binaries, fresh);
    return fresh;
  }
  if (version.trim() !== MAJOR) {
    throw new StartRefusal(
      `The database in ${home.cluster} was made by PostgreSQL ${version.trim()}, and this Gladhand brings PostgreSQL ${MAJOR}. Start the Gladhand version that made it, or use another data folder.`,
    );
  }
  if (password === undefined) {
    throw new StartRefusal(
      `The file ${passwordFile} is missing, without which the database beside it cannot be opened. Restore it from a copy of the data folder.`,
    );
  }
  return password;
}

async function createCluster(home: ClusterHome, binaries: Binaries, password: string): Promise<void> {
  const draft = join(home.path, 'cluster.creating');
  const secret = join(home.path, 'cluster.password');
  await rm(draft, { recursive: true, force: true });
  await rm(secret, { force: true });
  await mkdir(draft, { mode: 0o700 });
  await give(draft, home.account);
  try {
    await writeFile(secret, password, { mode: 0o600 });
    await give(secret, home.account);
    const child = home.run(binaries.initdb, [
      `--pgdata=${home.seenPath}/cluster.creating`,
      `--pwfile=${home.seenPath}/cluster.password`,
      `--username=${OWNER}`,
      '--auth=scram-sha-256',
      '--data-checksums',
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
    ]);
    const [complaint, code] = await Promise.all([text(child.stderr!), exitCode(child)]);
    if (code !== 0) throw new StartRefusal(`The database could not be created in ${home.path}: ${complaint.trim()}`);
  } finally {
    await rm(secret, { force: true });
  }
  await rename(draft, home.cluster);
  await syncFolder(home.path);
}

function exitCode(child: ReturnType<ClusterHome['run']>): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        new StartRefusal(
          `The embedded PostgreSQL cannot run on this system: ${error.message}. It is built for glibc and macOS; elsewhere, set DATABASE_URL to a PostgreSQL 15 or newer.`,
          error,
        ),
      ),
    );
    child.once('exit', resolve);
  });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeDurably(path: string, content: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
