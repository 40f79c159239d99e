import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createFirstAdmin } from '../../src/people/first-admin.ts';
import { openTestApp, type TestApp } from '../app.ts';
import { runGladhand } from '../gladhand.ts';
import { addPerson, send, signIn } from '../people.ts';

/** Runs the command line on the database of `world`. */
function gladhand(world: TestApp, args: string[], input = '') {
  const { host, port, user, password, database } = world.app.backends.database.host.connection;
  const url = `postgres://${user}:${encodeURIComponent(String(password))}@/${database}?host=${encodeURIComponent(String(host))}&port=${port}`;
  return runGladhand(import.meta.dirname, args, { env: { DATABASE_URL: url }, input });
}

test('admin create makes an admin who can sign in, prints the password once, and refuses a second one unless forced', async () => {
  const world = await openTestApp();
  const create = (...args: string[]) => gladhand(world, ['admin', 'create', '--name', 'First Admin', ...args]);
  const made = await create('--email', 'first@example.com');
  expect(made).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('first@example.com is an admin of operator.'),
  });
  const password = /shown once\): (\S+)/.exec(made.stdout)![1];
  const signedIn = await send(world, 'POST', '/auth/sign-in', { email: 'first@example.com', password });
  expect(signedIn.json.person).toMatchObject({ role: 'ADMIN', isPlatformOperator: true });

  const again = await create('--email', 'second@example.com');
  expect(again).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('operator has an admin already'),
  });
  // The rest of the rules without a process for each.
  const parts = { database: world.app.backends.database, clock: systemClock, ids: systemIds };
  const order = {
    email: 'second@example.com',
    name: 'S',
    password: 'a long password',
    organization: undefined,
    force: true,
  };
  expect((await createFirstAdmin(parts, order)).slug).toBe('operator');
  await expect(createFirstAdmin(parts, { ...order, email: 'FIRST@example.com' })).rejects.toThrow('exists already');
  await expect(createFirstAdmin(parts, { ...order, organization: 'nobody' })).rejects.toThrow(
    'no organization with the slug nobody',
  );
  const stdin = await gladhand(
    world,
    ['admin', 'create', '--name', 'C', '--email', 'c@example.com', '--organization', 'customer', '--password-stdin'],
    'from standard input\n',
  );
  expect(stdin.stdout).toBe('c@example.com is an admin of customer.\n');
  expect(
    (await send(world, 'POST', '/auth/sign-in', { email: 'c@example.com', password: 'from standard input' })).status,
  ).toBe(200);
});

test('config prints what is in force, and none of its secrets', async () => {
  const secrets = {
    DATABASE_URL: 'postgres://user:pass%40word@host:5432/name',
    GLADHAND_LIMITS_REDIS_URL: 'rediss://:redis-word@host:6379/0',
    GLADHAND_ACCESS_SECRET: 'ab'.repeat(32),
    GLADHAND_OIDC_CLIENT_SECRET: 'client-word',
  };
  const { stdout } = await runGladhand(import.meta.dirname, ['config'], { env: secrets });
  expect(JSON.parse(stdout)).toMatchObject({
    database: { url: 'postgres://user:[secret]@host:5432/name' },
    limits: { redisUrl: 'rediss://:[secret]@host:6379/0' },
    access: { secret: '[secret]' },
    oidc: { clientSecret: '[secret]' },
  });
  expect(stdout).not.toMatch(/word@|-word|abab/);
});

test('audit verify walks every chain, says ok, and after tampering names the broken event and exits with 1', async () => {
  const world = await openTestApp();
  const token = await signIn(world, await addPerson(world, world.customerId, 'ADMIN'));
  for (const name of ['A', 'B', 'C']) await send(world, 'POST', '/organizations/customer/fleets', { name }, token);
  const whole = await gladhand(world, ['audit', 'verify']);
  expect(whole.code).toBe(0);
  expect(whole.stdout).toMatch(/^customer: 4 events, head [0-9a-f]{64}: ok$/m);
  expect(whole.stdout).toMatch(/^rival: 0 events, head 0{64}: ok$/m);
  const { owner } = world.app.backends.database;
  await sql`alter table audit_event disable trigger all; update audit_event set details = '{"name":"Z"}' where sequence = 3 and organization_id = ${sql.lit(world.customerId)}`.execute(
    owner,
  );
  const broken = await gladhand(world, ['audit', 'verify', '--organization', 'customer', '--events']);
  expect(broken.code).toBe(1);
  expect(broken.stdout).toContain('BROKEN at event 3: the event is not the one that was written');
  expect(
    broken.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line).action),
  ).toEqual(['session.opened', 'fleet.registered']);
});
