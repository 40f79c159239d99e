import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Database, PostgresHost } from '../database/database.ts';
import { asFault } from '../database/database-fault.ts';
import { openDatabase } from '../database/open-database.ts';
import { getNativeDirectory } from './binaries.ts';
import { openEmbeddedPostgres } from './embedded.ts';
import { canReach } from './operating-system-account.ts';

const HOLDER = fileURLToPath(new URL('../../test/embedded-holder.ts', import.meta.url));
const NOBODY = { uid: 65534, gid: 65534 };
const isRoot = process.getuid?.() === 0;
const onLinux = process.platform === 'linux';
const nobodyCanRun = isRoot && (await canReach(dirname(HOLDER), NOBODY)) && (await canReach(process.execPath, NOBODY));

async function makeFolder(name = 'data'): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'gladhand-test-'));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  return join(parent, name);
}

async function openHost(directory: string, nativeDirectory?: string): Promise<PostgresHost> {
  const host = await openEmbeddedPostgres({
    directory,
    log: silentLogger,
    clock: systemClock,
    ids: systemIds,
    ...(nativeDirectory === undefined ? {} : { nativeDirectory }),
  });
  onTestFinished(() => host.close());
  return host;
}

async function open(host: PostgresHost): Promise<Database> {
  const database = await openDatabase(host, { poolSizeMax: 2, log: silentLogger, applicationName: 'test' });
  onTestFinished(() => database.close());
  return database;
}

async function keep(host: PostgresHost, value: string): Promise<void> {
  const database = await open(host);
  await sql`create table if not exists kept (value text)`.execute(database.owner);
  await sql`insert into kept values (${value})`.execute(database.owner);
  await database.close();
}

async function kept(host: PostgresHost): Promise<string[]> {
  const database = await open(host);
  const { rows } = await sql<{ value: string }>`select value from kept`.execute(database.owner);
  await database.close();
  return rows.map(({ value }) => value);
}

async function readPostmasterPid(directory: string): Promise<number> {
  return Number.parseInt(await readFile(join(directory, 'postgres/cluster/postmaster.pid'), 'utf8'), 10);
}

/** Whether a process is there and not a zombie that merely waits for its parent. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return status !== '' && !/^State:\s+Z/m.test(status);
}

/** Runs `test/embedded-holder.ts` and gives the line it prints; the process is killed when the test ends. */
async function startHolder(args: string[], account = {}): Promise<{ process: ChildProcess; says: string }> {
  const child = spawn(process.execPath, [HOLDER, ...args], { stdio: ['ignore', 'pipe', 'inherit'], ...account });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const [says] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { process: child, says };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Kills the shell that would end PostgreSQL after its server, so that a real orphan remains. */
async function killGuard(server: ChildProcess): Promise<void> {
  const children = (await readFile(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')).trim().split(' ');
  for (const pid of children.map(Number)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    if (command.includes('gladhand-postgres-guard')) process.kill(pid, 'SIGKILL');
  }
}

test('a first start makes a durable database with checksums, a random password and no TCP listener', async () => {
  const directory = await makeFolder();
  const steps: string[] = [];
  const host = await openEmbeddedPostgres({
    directory,
    log: silentLogger,
    clock: systemClock,
    ids: systemIds,
    onProgress: (step) => steps.push(step),
  });
  onTestFinished(() => host.close());
  expect(host.state).toBe('ready');
  expect(host.place).toBe(directory);
  expect(steps).toEqual(['Creating the database', 'Starting the database']);

  const database = await open(host);
  expect(database.durability).toBe('power-loss');
  const { rows } = await sql`
    select current_setting('data_checksums') as checksums, current_setting('listen_addresses') as listen,
           current_setting('server_encoding') as encoding, current_setting('timezone') as zone`.execute(database.owner);
  expect(rows).toEqual([{ checksums: 'on', listen: '', encoding: 'UTF8', zone: 'UTC' }]);

  const password = await readFile(join(directory, 'postgres/password'), 'utf8');
  expect(password).toMatch(/^[\w-]{43}$/);
  expect((await stat(join(directory, 'postgres/password'))).mode & 0o777).toBe(0o600);
  const stranger = openDatabase(
    { ...host, connection: { ...host.connection, password: 'guessed' } },
    { poolSizeMax: 1, log: silentLogger, applicationName: 'test' },
  );
  await expect(stranger).rejects.toThrow(/password authentication failed/);

  if (onLinux) {
    const pid = await readPostmasterPid(directory);
    const descriptors = await readdir(`/proc/${pid}/fd`);
    const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
    const sockets = targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
    const tables = await Promise.all(
      ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
    );
    const tcp = new Set(tables.flatMap((table) => table.split('\n').map((line) => line.trim().split(/\s+/)[9])));
    expect(sockets.length).toBeGreaterThan(0);
    expect(sockets.filter((inode) => tcp.has(inode))).toEqual([]);
  }
});

test('a restart keeps the data and leaves nothing running in between', async () => {
  const directory = await makeFolder();
  const host = await openHost(directory);
  await keep(host, 'before');
  const pid = await readPostmasterPid(directory);
  await host.close();
  if (onLinux) expect(await isAlive(pid)).toBe(false);
  expect(await readdir(join(directory, 'postgres'))).not.toContain('socket');
  expect(await kept(await openHost(directory))).toEqual(['before']);
});

test('a folder with spaces, quotes, commas and a name too long for a socket works', async () => {
  for (const name of ['my trailers, \'north\' & "south"', 'x'.repeat(120)]) {
    const host = await openHost(await makeFolder(name));
    await keep(host, name);
    expect(await kept(host)).toEqual([name]);
    await host.close();
  }
});

test('a second server on the same folder is refused with a sentence that names folder and holder', async () => {
  const directory = await makeFolder();
  const host = await openHost(directory);
  const sentence = `The data folder ${directory} is in use by another Gladhand server (process ${process.pid}). Stop that server first, or give this one a data folder of its own.`;
  await expect(openHost(directory)).rejects.toThrow(sentence);
  expect((await startHolder([directory])).says).toBe(sentence);
  await keep(host, 'unharmed');
  await host.close();
  expect((await startHolder([directory])).says).toBe('ready');
});

test.runIf(onLinux)(
  'a server killed with its PostgreSQL left running is followed by one that has all data',
  async () => {
    const directory = await makeFolder();
    const first = await openHost(directory);
    await keep(first, 'before');
    await first.close();
    const holder = await startHolder([directory]);
    expect(holder.says).toBe('ready');
    const orphan = await readPostmasterPid(directory);
    await killGuard(holder.process);
    await kill(holder.process);
    expect(await isAlive(orphan)).toBe(true);
    const host = await openHost(directory);
    expect(await isAlive(orphan)).toBe(false);
    expect(await kept(host)).toEqual(['before']);
  },
);

test.runIf(onLinux)('PostgreSQL ends by itself when its server is killed', async () => {
  const directory = await makeFolder();
  const holder = await startHolder([directory]);
  const pid = await readPostmasterPid(directory);
  await kill(holder.process);
  await vi.waitFor(async () => expect(await isAlive(pid)).toBe(false), { timeout: 20_000, interval: 20 });
  // And the next server finds nothing amiss.
  await (await openHost(directory)).close();
});

test.runIf(onLinux)('a lock file whose number now means a stranger or a zombie does not block a start', async () => {
  const directory = await makeFolder();
  const first = await openHost(directory);
  await keep(first, 'before');
  await first.close();
  // `sleep` takes over from the shell and never waits for the child that the shell started: a lasting zombie.
  const parent = spawn('/bin/sh', ['-c', 'true & exec sleep 1000'], { stdio: 'ignore' });
  onTestFinished(() => kill(parent));
  const zombie = await vi.waitFor(async () => {
    const children = (await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8')).trim();
    expect(children).not.toBe('');
    expect(await isAlive(Number(children))).toBe(false);
    return Number(children);
  });
  for (const pid of [parent.pid!, zombie]) {
    const lockFile = join(directory, 'postgres/cluster/postmaster.pid');
    await writeFile(lockFile, `${pid}\n/nowhere\n1\n5432\n/nowhere\n\n  1 1\nready   \n`, { mode: 0o600 });
    if (isRoot) await chown(lockFile, NOBODY.uid, NOBODY.gid);
    const host = await openHost(directory);
    expect(await kept(host)).toEqual(['before']);
    await host.close();
  }
  expect(await isAlive(parent.pid!)).toBe(true);
});

test('PostgreSQL killed under the server is brought back with its data, and callers are told to come again', async () => {
  const directory = await makeFolder();
  const host = await openHost(directory);
  await keep(host, 'before');
  const database = await open(host);
  const answers = () => sql`select 1`.execute(database.owner);
  for (let round = 0; round < 3; round += 1) {
    const pid = await readPostmasterPid(directory);
    // On a connection of before: a new one may find PostgreSQL back already. Its backend may answer once more before it
    // notices that the postmaster is gone.
    const refused = await database.owner.connection().execute(async (connection) => {
      await sql`select 1`.execute(connection);
      process.kill(pid, 'SIGKILL');
      await vi.waitFor(() => expect(host.state).toBe('recovering'), { interval: 1, timeout: 10_000 });
      for (;;) {
        try {
          await sql`select 1`.execute(connection);
        } catch (error) {
          return asFault(error);
        }
      }
    });
    expect(refused).toBeInstanceOf(Fault);
    expect(refused).toMatchObject({ code: 'temporarily-unavailable', retryAfterSeconds: 2 });
    await vi.waitFor(() => expect(host.state).toBe('ready'), { timeout: 20_000, interval: 5 });
    expect(await readPostmasterPid(directory)).not.toBe(pid);
    await answers();
  }
  expect(await kept(host)).toEqual(['before']);
});

test('a killed backend or a transaction open at the time does not end the server', async () => {
  const host = await openHost(await makeFolder());
  const database = await open(host);
  const broken = database.owner.transaction().execute(async (transaction) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(transaction);
    process.kill(rows[0]!.pid, 'SIGKILL');
    await vi.waitFor(() => expect(host.state).toBe('recovering'), { interval: 1, timeout: 10_000 });
    await sql`select 1`.execute(transaction);
  });
  expect(asFault(await broken.catch((error: unknown) => error))).toBeInstanceOf(Fault);
  await vi.waitFor(() => expect(host.state).toBe('ready'), { timeout: 20_000, interval: 5 });
  await sql`select 1`.execute(database.owner);
});

test('closing while PostgreSQL is being brought back ends it and frees the folder', async () => {
  const directory = await makeFolder();
  const host = await openHost(directory);
  process.kill(await readPostmasterPid(directory), 'SIGKILL');
  await vi.waitFor(() => expect(host.state).toBe('recovering'), { interval: 1, timeout: 10_000 });
  await host.close();
  await (await openHost(directory)).close();
});

test('a creation that was cut short starts over', async () => {
  const directory = await makeFolder();
  await mkdir(join(directory, 'postgres/cluster.creating/base'), { recursive: true });
  await writeFile(join(directory, 'postgres/cluster.creating/PG_VERSION'), '18\n');
  await writeFile(join(directory, 'postgres/password'), 'of-the-first-try');
  const host = await openHost(directory);
  await keep(host, 'whole');
});

test('a folder made by another PostgreSQL, or without its password, is refused with a sentence', async () => {
  const directory = await makeFolder();
  await (await openHost(directory)).close();
  const password = join(directory, 'postgres/password');
  const version = join(directory, 'postgres/cluster/PG_VERSION');
  await rm(password);
  await expect(openHost(directory)).rejects.toThrow(`The file ${password} is missing`);
  await writeFile(version, '17\n');
  await expect(openHost(directory)).rejects.toThrow(
    'was made by PostgreSQL 17, and this Gladhand brings PostgreSQL 18',
  );
});

/** The programs as npm leaves them when it may not run install scripts: without the library links. */
async function copyWithoutLinks(): Promise<string> {
  const native = await makeFolder('native');
  await cp(getNativeDirectory(), native, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[];
  await Promise.all(links.map(({ target }) => rm(join(native, '..', target), { force: true })));
  await chmod(join(native, '..'), 0o755);
  return native;
}

test('blocked install scripts do not matter: the missing library links are made', async () => {
  const native = await copyWithoutLinks();
  const host = await openHost(await makeFolder(), native);
  await keep(host, 'works');
  expect(await readlink(join(native, 'lib/libpq.so.5'))).toBe('libpq.so.5.18');
});

test.runIf(nobodyCanRun)(
  'an ordinary user needs no write access to the programs, and may have blocked scripts too',
  async () => {
    const native = await copyWithoutLinks();
    const directory = await makeFolder();
    await mkdir(directory);
    await chown(directory, NOBODY.uid, NOBODY.gid);
    await chmod(join(directory, '..'), 0o755);
    expect((await startHolder([directory, native], NOBODY)).says).toBe('ready');
    expect((await readdir(join(directory, 'postgres'))).filter((name) => name.startsWith('postgresql-'))).toHaveLength(
      1,
    );
    expect(await readdir(join(native, 'lib'))).not.toContain('libpq.so.5');
  },
);

test.runIf(isRoot && onLinux)(
  'root needs no folder that others can enter: data and programs may lie under a private one',
  async () => {
    const native = await copyWithoutLinks();
    await chmod(join(native, '..'), 0o700);
    const { size } = await stat(join(native, 'bin/postgres'));
    onTestFinished(() => rm(`/var/cache/gladhand/postgresql-${size}`, { recursive: true, force: true }));
    const directory = await makeFolder();
    const host = await openHost(directory, native);
    await keep(host, 'private');
    expect((await stat(join(directory, '..'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, 'postgres/cluster'))).uid).toBe(NOBODY.uid);
  },
);

test.runIf(nobodyCanRun)('a user and root may take turns on a folder of the user, but not another user', async () => {
  const directory = await makeFolder();
  await mkdir(directory);
  await chown(directory, NOBODY.uid, NOBODY.gid);
  await chmod(join(directory, '..'), 0o755);
  for (const account of [{}, NOBODY, {}, NOBODY]) {
    const holder = await startHolder([directory], account);
    expect(holder.says).toBe('ready');
    holder.process.kill('SIGTERM');
    await once(holder.process, 'exit');
  }
  await chmod(directory, 0o755);
  const stranger = await startHolder([directory], { uid: 65533, gid: 65533 });
  expect(stranger.says).toMatch(/^The data(base in| folder) .*(belongs to another account|cannot be used)/);
});
