import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import fc from 'fast-check';
import { base64url, SignJWT } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { openEpoch } from '../database/epoch.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { insertOrganization } from '../organizations/store.ts';
import { openAccess } from './access.ts';
import { createApiKey, findPublicId } from './api-key.ts';
import { issueKey } from './issue-key.ts';
import { findSecret } from './key-state-store.ts';
import type { Audience } from './principal.ts';
import { createSecrets } from './secrets.ts';
import { insertSigningKey } from './signing-key-store.ts';

const ADDRESS = '203.0.113.9';
const SECRET = Buffer.alloc(32, 7);

async function openWorld() {
  const database = await openTestDatabase();
  let nowMs = Date.UTC(2026, 10, 20, 12);
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const doorbell = createLocalDoorbell();
  const secrets = createSecrets(SECRET);
  const epoch = await openEpoch({ database, doorbell, clock, log: silentLogger });
  onTestFinished(() => epoch.close());
  const around = { database, epoch, secrets, clock, ids: systemIds, log: silentLogger };
  const access = await openAccess({ ...around, issuer: 'gladhand', tokenTtlSeconds: 1800 });
  onTestFinished(() => access.close());
  const organizationId = systemIds.uuid();
  await insertOrganization(database.owner, {
    id: organizationId,
    slug: 'one',
    name: 'One',
    kind: 'customer',
    at: new Date(nowMs),
  });
  const issue = (audience: Audience, scopes: string[]) =>
    issueKey(database.owner, around, { organizationId, audience, partnerId: 'p', name: 'k', scopes, createdBy: null });
  const key = await issue('partner', ['telemetry:write', 'product:traccar']);
  const exchange = async (plaintext = key.plaintext) =>
    (await access.exchange('partner', plaintext, ADDRESS)).accessToken;
  return {
    database,
    access,
    secrets,
    issue,
    key,
    exchange,
    pass: (ms: number) => (nowMs += ms),
    doorbell,
    epoch,
    clock,
  };
}

const codeOf = async (attempt: () => unknown) => {
  try {
    await attempt();
    return 'admitted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('API keys', () => {
  test('a key with any one character changed is refused before the database is asked', () => {
    const { plaintext, publicId } = createApiKey((length) => randomBytes(length));
    expect(findPublicId(plaintext)).toBe(publicId);
    fc.assert(
      fc.property(fc.nat(plaintext.length - 1), fc.constantFrom(...'0aZ_-é'), (place, letter) => {
        fc.pre(plaintext[place] !== letter);
        expect(findPublicId(plaintext.slice(0, place) + letter + plaintext.slice(place + 1))).toBeUndefined();
      }),
    );
  });

  test('an unknown, mistyped, revoked, expired or wrong-audience key gets one and the same answer', async () => {
    const world = await openWorld();
    const customer = await world.issue('customer', ['fleets:read']);
    const revoked = await world.issue('partner', ['telemetry:write']);
    const expired = await world.issue('partner', ['telemetry:write']);
    const now = new Date(world.clock.nowMs());
    await world.database.owner.updateTable('api_key').set({ revoked_at: now }).where('id', '=', revoked.id).execute();
    await world.database.owner.updateTable('api_key').set({ expires_at: now }).where('id', '=', expired.id).execute();
    const unknown = createApiKey((length) => randomBytes(length)).plaintext;
    const answers = new Set<string>();
    for (const key of [unknown, 'nonsense', '', customer.plaintext, revoked.plaintext, expired.plaintext]) {
      const refusal = await world.access
        .exchange('partner', key, ADDRESS)
        .catch((error: unknown) => error as Error & { code: string });
      answers.add(`${(refusal as { code: string }).code} ${(refusal as Error).message}`);
    }
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toMatch(/^invalid-api-key /);
  });

  test('a copy of the database authenticates nothing: digests depend on a secret that is not in it', async () => {
    const world = await openWorld();
    const stolen = await findSecret(world.database, findPublicId(world.key.plaintext)!);
    const withoutPepper = createHmac('sha256', '').update(world.key.plaintext).digest();
    expect(stolen?.digest.equals(withoutPepper)).toBe(false);
    const other = await openAccess({
      database: world.database,
      epoch: world.epoch,
      secrets: createSecrets(Buffer.alloc(32, 8)),
      clock: world.clock,
      ids: systemIds,
      log: silentLogger,
      issuer: 'gladhand',
      tokenTtlSeconds: 1800,
    });
    onTestFinished(() => other.close());
    expect(await codeOf(() => other.exchange('partner', world.key.plaintext, '::1'))).toBe('invalid-api-key');
  });
});

describe('access tokens', () => {
  test('a token carries the key, its organization, scopes and product, and lives 1800 s', async () => {
    const world = await openWorld();
    const principal = await world.access.authenticate(await world.exchange(), ADDRESS);
    expect(principal).toMatchObject({ keyId: world.key.id, audience: 'partner', product: 'traccar', generation: 1 });
    expect([...principal.scopes]).toEqual(['telemetry:write', 'product:traccar']);
    expect(principal.tokenExpiresAtMs - world.clock.nowMs()).toBe(1800_000);
  });

  test('an expired token is refused, verified before or not', async () => {
    const world = await openWorld();
    const [seen, unseen] = [await world.exchange(), await world.exchange()];
    await world.access.authenticate(seen, ADDRESS);
    world.pass(1800_000);
    expect(await codeOf(() => world.access.authenticate(seen, ADDRESS))).toBe('token-expired');
    expect(await codeOf(() => world.access.authenticate(unseen, ADDRESS))).toBe('token-expired');
  });

  test('a token is worth nothing from the moment its key is revoked', async () => {
    const world = await openWorld();
    const token = await world.exchange();
    const principal = await world.access.authenticate(token, ADDRESS);
    const ended = new Promise((resolve) => world.access.watch(principal, resolve));
    await world.database.owner
      .updateTable('api_key')
      .set({ revoked_at: new Date(world.clock.nowMs()) })
      .where('id', '=', world.key.id)
      .execute();
    world.doorbell.ring('keys');
    await ended;
    expect(await codeOf(() => world.access.authenticate(token, ADDRESS))).toBe('invalid-token');
  });

  test('forged, foreign and confused tokens are refused', async () => {
    const world = await openWorld();
    const good = await world.exchange();
    const [header, payload, signature] = good.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    const kid = (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid;
    const encode = (value: unknown) => base64url.encode(JSON.stringify(value));
    const stranger = generateKeyPairSync('ed25519').privateKey;
    const own = world.secrets.signingKey(1);
    const publicPem = own.publicKey.export({ type: 'spki', format: 'pem' });
    const signed = (changes: Record<string, unknown>, head: Record<string, unknown> = {}, key = own.privateKey) =>
      new SignJWT({ ...claims, ...changes })
        .setProtectedHeader({ alg: 'Ed25519', typ: 'at+jwt', kid, ...head })
        .sign(key);
    const forged: Record<string, string> = {
      empty: '..',
      garbage: 'a.b.c',
      'alg none': `${encode({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.`,
      'alg None': `${encode({ alg: 'None', typ: 'at+jwt', kid })}.${payload}.`,
      'signature cut': `${header}.${payload}.${signature.slice(0, -4)}`,
      'payload changed': `${header}.${encode({ ...claims, scope: 'telemetry:write plants:read' })}.${signature}`,
      'HS256 with the public key': hs256({ alg: 'HS256', typ: 'at+jwt', kid }, payload, publicPem),
      'another key': await signed({}, {}, stranger),
      'a key in the header': await new SignJWT(claims)
        .setProtectedHeader({
          alg: 'Ed25519',
          typ: 'at+jwt',
          kid: 'mine',
          jwk: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }),
        })
        .sign(stranger),
      'a kid that is a path': await signed({}, { kid: '../../secret' }),
      'another type': await signed({}, { typ: 'JWT' }),
      'another issuer': await signed({ iss: 'somebody' }),
      'another audience': await signed({ aud: 'admin' }),
      'not yet valid': await signed({ nbf: Number(claims.nbf) + 60 }),
      'no expiry': await signed({ exp: undefined }),
      'expiry as text': await signed({ exp: '9999999999' as unknown as number }),
    };
    for (const [name, token] of Object.entries(forged)) {
      expect([name, await codeOf(() => world.access.authenticate(token, ADDRESS))]).toEqual([name, 'invalid-token']);
    }
    expect(await codeOf(() => world.access.authenticate(good, ADDRESS))).toBe('admitted');
  });

  test('the signing key rotates without breaking a live token', async () => {
    const world = await openWorld();
    const old = await world.exchange();
    const now = world.clock.nowMs();
    await world.database.system
      .transaction()
      .execute((trx) => insertSigningKey(trx, new Date(now), new Date(now + 1860_000)));
    world.doorbell.ring('keys');
    await expect.poll(() => world.access.jwks().keys.length).toBe(2);
    const fresh = await world.exchange();
    const kidOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid as string;
    expect(kidOf(fresh)).not.toBe(kidOf(old));
    expect(await codeOf(() => world.access.authenticate(old, ADDRESS))).toBe('admitted');
    expect(await codeOf(() => world.access.authenticate(fresh, ADDRESS))).toBe('admitted');
  });
});

function hs256(header: object, payload: string, key: string | Buffer): string {
  const head = `${base64url.encode(JSON.stringify(header))}.${payload}`;
  return `${head}.${createHmac('sha256', key).update(head).digest('base64url')}`;
}
