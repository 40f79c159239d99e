import { systemIds } from '@gladhand/base/ids.ts';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { codeOf, HOME, openKeyWorld, settle } from '../../test/key-world.ts';
import { openAccess } from './access.ts';
import { createApiKey } from './api-key.ts';
import type { Principal } from './principal.ts';
import { rotateSigningKey } from './rotate-signing-key.ts';

test('an API key sent as it is costs no database once it was seen, and is judged anew on every request', async () => {
  const { access, issue, set, clock, readsNow } = await openKeyWorld();
  const key = await issue({ expiresAt: new Date(clock.nowMs() + 60_000) });
  const use = (address = HOME) => access.authenticateKey(key.plaintext, address);
  expect(await use()).toMatchObject({ keyId: key.id, audience: 'customer', generation: 1 });
  const before = readsNow();
  const first = use() as Principal;
  for (let n = 0; n < 1_000; n += 1) expect(use()).toBe(first);
  expect(readsNow()).toBe(before);
  await set(key.id, { allowed_ips: ['10.0.0.0/8'] });
  expect(await codeOf(() => use())).toBe('address-not-allowed');
  expect(await codeOf(() => use('::ffff:10.1.2.3'))).toBe('admitted');
  expect(await codeOf(() => use('not an address'))).toBe('address-not-allowed');
  await set(key.id, { allowed_ips: [] });
  expect(await codeOf(() => use())).toBe('admitted');
  clock.advance(60_000);
  expect(await codeOf(() => use())).toBe('invalid-api-key');
  await set(key.id, { expires_at: null, revoked_at: new Date(clock.nowMs()) });
  expect(await codeOf(() => use())).toBe('invalid-api-key');
});

test('mistyped keys never reach the database, however many are tried', async () => {
  const { access, issue, readsNow } = await openKeyWorld();
  const { plaintext } = await issue();
  const before = readsNow();
  for (let n = 0; n < 20_000; n += 1) {
    const random = createApiKey((length) => systemIds.randomBytes(length)).plaintext;
    const wrong = `${random.slice(0, -1)}${random.endsWith('0') ? '1' : '0'}`;
    await codeOf(() => access.authenticateKey(wrong, HOME)).then((code) => expect(code).toBe('invalid-api-key'));
  }
  expect(readsNow()).toBe(before);
  expect(await codeOf(() => access.authenticateKey(plaintext, HOME))).toBe('admitted');
});

test('of keys sent as they are, only those that are wrong count as tries: not the right ones, nor what could not be looked up', async () => {
  let counted = 0;
  const beginAttempt = async () => {
    counted += 1;
    return () => {
      counted -= 1;
    };
  };
  const { parts, issue, database } = await openKeyWorld();
  const access = await openAccess({ ...parts, issuer: 'gladhand', tokenTtlSeconds: 1800, beginAttempt });
  onTestFinished(() => access.close());
  const [right, unseen, elsewhere] = [await issue(), await issue(), await issue({ allowedIps: ['10.0.0.0/8'] })];
  const unknown = createApiKey((length) => systemIds.randomBytes(length)).plaintext;
  const tries = async (apiKey: string) => [await codeOf(() => access.authenticateKey(apiKey, HOME)), counted];
  expect(await tries(right.plaintext)).toEqual(['admitted', 0]);
  expect(await tries(unknown)).toEqual(['invalid-api-key', 1]);
  expect(await tries(elsewhere.plaintext)).toEqual(['address-not-allowed', 2]);
  await sql`alter table api_key_secret rename to api_key_secret_away`.execute(database.owner);
  expect((await tries(unseen.plaintext))[1]).toBe(2);
  await sql`alter table api_key_secret_away rename to api_key_secret`.execute(database.owner);
  expect(await tries(unseen.plaintext)).toEqual(['admitted', 2]);
});

test('a busy generation is written once a minute, with its latest use, and the last use at the end', async () => {
  const { epoch, database, access, issue, clock } = await openKeyWorld();
  const key = await issue();
  const stored = () =>
    database.owner.selectFrom('api_key_secret').select(['last_used_at', 'last_used_address']).executeTakeFirstOrThrow();
  const use = (address: string) => access.authenticateKey(key.plaintext, address);
  const startMs = clock.nowMs();
  await use('203.0.113.1');
  clock.advance(5_000);
  await expect.poll(stored).toMatchObject({ last_used_address: '203.0.113.1', last_used_at: new Date(startMs) });
  await use('::ffff:203.0.113.2');
  clock.advance(30_000);
  await epoch.announceChange();
  expect(await stored()).toMatchObject({ last_used_address: '203.0.113.1' });
  const lastMs = clock.nowMs();
  await use('2001:db8::3');
  await access.close();
  expect(await stored()).toMatchObject({ last_used_address: '2001:db8::3', last_used_at: new Date(lastMs) });
});

test('a stream is ended by the clock when its key or its overlap ends, without anybody telling', async () => {
  const { epoch, access, issue, clock } = await openKeyWorld();
  const expiring = await issue({ expiresAt: new Date(clock.nowMs() + 10_000) });
  const rotating = await issue();
  const ended: string[] = [];
  const open = async (plaintext: string, name: string) => {
    const principal = await access.authenticateKey(plaintext, HOME);
    access.watch(principal, (reason) => ended.push(`${name} ${reason.code}`), HOME);
    return principal;
  };
  await open(expiring.plaintext, 'expiring');
  const principal = await open(rotating.plaintext, 'rotating');
  const rotated = await access.rotate(principal, { overlapSeconds: 20, address: HOME, requestId: systemIds.uuid() });
  await open(rotated.key, 'rotated');
  // In steps, and with nothing under way, so that the directory keeps in touch and its lease holds.
  const pass = async (ms: number) => {
    await Promise.all([
      access.authenticateKey(rotated.key, HOME),
      codeOf(() => access.authenticateKey(expiring.plaintext, HOME)),
    ]);
    await settle();
    clock.advance(ms);
    await epoch.announceChange();
  };
  for (let step = 0; step < 9; step += 1) await pass(1_000);
  await pass(999);
  expect(ended).toEqual([]);
  await pass(1);
  await expect.poll(() => ended).toEqual(['expiring invalid-token']);
  for (let step = 0; step < 9; step += 1) await pass(1_000);
  await pass(999);
  expect(ended).toEqual(['expiring invalid-token']);
  await pass(1);
  await expect.poll(() => ended).toEqual(['expiring invalid-token', 'rotating invalid-token']);
});

test('the next token signing key is published ten minutes before it signs, and the old one goes 31 minutes after', async () => {
  const { epoch, database, access, issue, clock } = await openKeyWorld();
  const { plaintext } = await issue();
  const kidOf = async () => {
    const { accessToken } = await access.exchange('customer', plaintext, HOME);
    return {
      kid: JSON.parse(Buffer.from(accessToken.split('.')[0]!, 'base64url').toString()).kid as string,
      accessToken,
    };
  };
  const published = () => access.jwks().keys.map(({ kid }) => kid);
  const step = async (ms: number) => {
    clock.advance(ms);
    await settle();
    await epoch.announceChange();
  };
  const old = await kidOf();
  expect(published()).toEqual([old.kid]);
  await rotateSigningKey(database, clock.nowMs(), 1800);
  await epoch.announceChange();
  await expect.poll(published).toHaveLength(2);
  await step(599_999);
  const last = await kidOf();
  expect(last.kid).toBe(old.kid);
  await step(1);
  const fresh = await kidOf();
  expect(fresh.kid).toBe(published()[1]);
  // Tokens begin at a whole second: this one at 599 s, so it is good until just before 2,399 s.
  await step(1_798_000);
  expect(await codeOf(() => access.authenticate(last.accessToken, HOME))).toBe('admitted');
  await step(61_999);
  expect(published()).toHaveLength(2);
  await step(1);
  expect(published()).toEqual([fresh.kid]);
});
