import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { withDatabase } from '../../src/app/verbs/database.ts';
import { loadConfig } from '../../src/config.ts';
import { SYSTEM_ROLE } from '../../src/database/roles.ts';
import { runGladhand } from '../gladhand.ts';
import { startServer } from '../server-process.ts';

/** The verbs that need the database, on a data folder with an embedded PostgreSQL, whoever else uses it at the time. */
const EMPTY = ['--no-demo', '--http-port', '0', '--grpc-port', '0'];

function makeFolder(): string {
  const directory = mkdtempSync(join(tmpdir(), 'gladhand-verbs-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const configOf = (directory: string) =>
  loadConfig({ env: {}, flags: { 'data.directory': join(directory, '.gladhand') } });

/** A process that has nothing of a server but the embedded database of `directory`. */
async function holdDatabase(directory: string) {
  const program = join(import.meta.dirname, '../embedded-holder.ts');
  const child = spawn(process.execPath, [program, join(directory, '.gladhand')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, 'exit');
  });
  expect(String((await once(child.stdout, 'data'))[0])).toBe('ready\n');
  return child;
}

test('a start on an empty folder says how to make the first admin, and that command works while it runs', async () => {
  const server = startServer(EMPTY);
  const said = await server.waitFor(/is ready[\s\S]*\n\n/);
  const [, command] = /^ {2}npm run --silent gladhand -- (admin create .*)$/m.exec(said)!;
  expect(said).toContain('Nobody can sign in yet. Create the first admin');
  const args = [...command!.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
  const made = await runGladhand(server.directory, args);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  const [, password] = /shown once\): (\S+)/.exec(made.stdout)!;
  const [, base] = /REST (\S+)/.exec(said)!;
  const signedIn = await fetch(`${base}/api/v1/auth/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'you@example.com', password }),
  });
  expect(await signedIn.json()).toMatchObject({ person: { role: 'ADMIN', isPlatformOperator: true } });
  const again = await runGladhand(server.directory, args);
  expect(again).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('operator has an admin already'),
  });
  const verified = await runGladhand(server.directory, ['audit', 'verify']);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/^operator: 3 events, head \w{64}: ok\n$/) });
  const rotated = await runGladhand(server.directory, ['token-key', 'rotate']);
  expect(rotated).toMatchObject({ code: 0, stdout: expect.stringContaining('is published now') });
  expect((await fetch(`${base}/health/ready`)).status).toBe(200);
  await server.stop();

  const next = startServer(EMPTY, { directory: server.directory });
  expect(await next.waitFor(/is ready[\s\S]*\n\n/)).not.toContain('admin create');
});

test('a command waits for a server that is making its database', async () => {
  const server = startServer(EMPTY);
  await server.waitFor(/Creating the database/);
  const verified = await runGladhand(server.directory, ['audit', 'verify']);
  expect(verified).toEqual({
    code: 0,
    stdout: '',
    stderr: 'Waiting for the database of the server that has this data folder\n',
  });
  await server.waitFor(/is ready/);
});

test('a server that is started while a command has the folder waits for its end', async () => {
  const directory = makeFolder();
  const server = await withDatabase(configOf(directory), async () => {
    const started = startServer(EMPTY, { directory });
    await started.waitFor(/Waiting for a command that has the data folder/);
    return started;
  });
  await server.waitFor(/is ready/);
});

test('of commands that run at once without a server each is done, whichever of them starts the database', async () => {
  const directory = makeFolder();
  const create = (email: string) =>
    runGladhand(directory, ['admin', 'create', '--email', email, '--name', 'Admin', '--force']);
  const emails = ['a@example.com', 'b@example.com', 'c@example.com'];
  const made = await Promise.all(emails.map(create));
  for (const [at, { code, stdout, stderr }] of made.entries())
    expect([code, stdout.split('\n')[0]], stderr).toEqual([0, `${emails[at]} is an admin of operator.`]);
  const verified = await runGladhand(directory, ['audit', 'verify']);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/^operator: 4 events, /) });
});

test('beside a server a command works under the same roles, and changes no schema', async () => {
  const directory = makeFolder();
  await withDatabase(configOf(directory), async () => {});
  await holdDatabase(directory);
  await withDatabase(configOf(directory), async (database) => {
    const { rows } = await sql<{ name: string }>`select current_user as name`.execute(database.system);
    expect(rows).toEqual([{ name: SYSTEM_ROLE }]);
    await expect(sql`select from api_key`.execute(database.system)).resolves.toBeDefined();
    await expect(
      database.within('019aae2f-6a2c-7c1e-9d3a-5f1b2c3d4e5f', (own) => sql`select from product_version`.execute(own)),
    ).rejects.toThrow('permission denied');
    // As after an upgrade that the running server has not seen.
    await sql`delete from migration_digest where name = (select max(name) from migration_digest)`.execute(
      database.owner,
    );
  });
  const refused = withDatabase(configOf(directory), async () => 'done', 500);
  await expect(refused).rejects.toThrow('If that server is of an older version, restart it');
});

test('a command whose server dies says that its outcome is unknown, and the next one works', async () => {
  const directory = makeFolder();
  await withDatabase(configOf(directory), async () => {});
  const holder = await holdDatabase(directory);
  const cut = withDatabase(configOf(directory), async (database) => {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    for (;;) await sql`select pg_sleep(0.01)`.execute(database.system);
  });
  await expect(cut).rejects.toThrow(StartRefusal);
  await expect(cut).rejects.toThrow('its outcome is unknown. Run it again');
  const { rows } = await withDatabase(configOf(directory), (database) =>
    sql<{ one: number }>`select 1 as one`.execute(database.system),
  );
  expect(rows).toEqual([{ one: 1 }]);
});
