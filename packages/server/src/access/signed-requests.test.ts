import { type Clock, systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { AUTHORITY, freshNonce, PATH, type SignOrder, sign } from '../../test/signer.ts';
import { toFault } from '../edge/problem.ts';
import { deriveSigningKey } from './issue-key.ts';
import { forgetNonces } from './nonce-store.ts';
import type { Principal } from './principal.ts';
import { createSecrets } from './secrets.ts';
import { createSignedRequests } from './signed-requests.ts';

const NOW_SECONDS = Date.UTC(2026, 10, 20, 9) / 1000;
const BODY = '{"speedKph":50}';

async function openWorld() {
  const database = await openTestDatabase();
  const secrets = createSecrets(Buffer.alloc(32, 7));
  let nowMs = NOW_SECONDS * 1000;
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const keyId = systemIds.uuid();
  const principal = (changes: Partial<Principal> = {}): Principal => ({
    keyId,
    publicId: keyId,
    organizationId: systemIds.uuid(),
    organizationKind: 'operator',
    audience: 'partner',
    partnerId: 'partner',
    scopes: new Set(['telemetry:write']),
    product: 'traccar',
    plantIds: null,
    requireSignature: false,
    generation: 1,
    signingGenerations: [{ generation: 1, endsAtMs: Number.POSITIVE_INFINITY }],
    tokenExpiresAtMs: Number.POSITIVE_INFINITY,
    ...changes,
  });
  const signingKey = (generation = 1, id = keyId) => deriveSigningKey(secrets, id, generation).toString('hex');
  const node = () => createSignedRequests({ database, secrets, clock });
  const signed = node();
  const check = async (headers: Record<string, string>, by = principal(), at = signed) => {
    const rawHeaders = Object.entries({ host: AUTHORITY, ...headers }).flat();
    try {
      await at.check(by, { method: 'POST', target: PATH, scheme: 'https', rawHeaders, body: Buffer.from(BODY) });
      return 'good';
    } catch (error) {
      const fault = toFault(error);
      return { code: fault.code, detail: fault.message, errors: fault.errors };
    }
  };
  const order = (changes: Partial<SignOrder> = {}) =>
    sign({ keyId, signingKey: signingKey(), body: BODY, created: NOW_SECONDS, ...changes });
  return {
    database,
    principal,
    signingKey,
    node,
    check,
    order,
    setSeconds: (seconds: number) => (nowMs = seconds * 1000),
  };
}

const refused = (code: string) => expect.objectContaining({ code });

test('an unsigned request passes only with a key that does not require signatures; a wrong signature passes with none', async () => {
  const { check, order, principal, signingKey } = await openWorld();
  expect(await check({})).toBe('good');
  expect(await check({}, principal({ requireSignature: true }))).toEqual(refused('signature-missing'));
  expect(await check(order(), principal({ requireSignature: true }))).toBe('good');
  const forged = order({ signingKey: '00'.repeat(32) });
  expect(await check(forged)).toEqual(refused('signature-invalid'));
  expect(await check(forged, principal({ requireSignature: true }))).toEqual(refused('signature-invalid'));
  // Another key's signing key, under its own and under the caller's id.
  const other = systemIds.uuid();
  expect(await check(order({ keyId: other, signingKey: signingKey(1, other) }))).toEqual(refused('signature-invalid'));
  expect(await check(order({ signingKey: signingKey(1, other) }))).toEqual(refused('signature-invalid'));
});

test('a refused signature shows what the server read, and nothing secret', async () => {
  const { check, order, signingKey } = await openWorld();
  const answer = (await check(order({ path: '/other' }))) as { errors: readonly { detail: string }[] };
  expect(answer.errors[0]!.detail).toContain(`"@path": ${PATH}\n`);
  expect(JSON.stringify(answer)).not.toContain(signingKey());
  expect(JSON.stringify(answer)).not.toContain(Buffer.from(signingKey(), 'hex').toString('base64'));
});

test('created may be 300 s off in either direction and not one more; the refusal tells the clock', async () => {
  const { check, order } = await openWorld();
  for (const skew of [-300, -1, 0, 1, 300])
    expect([skew, await check(order({ created: NOW_SECONDS + skew }))]).toEqual([skew, 'good']);
  for (const skew of [-301, 301, -1e9, 1e9, -NOW_SECONDS, -3 * NOW_SECONDS, 1e14]) {
    expect([skew, await check(order({ created: NOW_SECONDS + skew }))]).toEqual([skew, refused('signature-expired')]);
  }
  expect(await check(order({ created: NOW_SECONDS - 412 }))).toMatchObject({
    detail: expect.stringMatching(
      /412 s behind this server's clock, which reads 2026-11-20T09:00:00.000Z .*Date.*clock skew/,
    ),
  });
  expect(await check(order({ created: NOW_SECONDS + 412 }))).toMatchObject({
    detail: expect.stringContaining('412 s ahead of'),
  });
});

test('expires ends a signature before the window does, never after', async () => {
  const { check, order, principal } = await openWorld();
  const until = (expires: number, created = NOW_SECONDS) =>
    order({
      parameters: `;created=${created};expires=${expires};nonce="${freshNonce()}";keyid="${principal().keyId}"`,
    });
  expect(await check(until(NOW_SECONDS + 1))).toBe('good');
  expect(await check(until(NOW_SECONDS))).toEqual(refused('signature-expired'));
  expect(await check(until(NOW_SECONDS + 9_999, NOW_SECONDS - 301))).toEqual(refused('signature-expired'));
});

test('in a rotation overlap the signing keys of both generations are good, after it only the new one, and never another', async () => {
  const { check, order, principal, signingKey, setSeconds } = await openWorld();
  const endsAtMs = (NOW_SECONDS + 60) * 1000;
  const signingGenerations = [
    { generation: 2, endsAtMs: Number.POSITIVE_INFINITY },
    { generation: 1, endsAtMs },
  ];
  for (const generation of [1, 2]) {
    const caller = principal({ generation, signingGenerations });
    for (const signer of [1, 2]) expect(await check(order({ signingKey: signingKey(signer) }), caller)).toBe('good');
    for (const signer of [0, 3])
      expect(await check(order({ signingKey: signingKey(signer) }), caller)).toEqual(refused('signature-invalid'));
  }
  setSeconds(NOW_SECONDS + 60);
  const caller = principal({ generation: 2, signingGenerations });
  expect(await check(order({ signingKey: signingKey(1) }), caller)).toEqual(refused('signature-invalid'));
  expect(await check(order({ signingKey: signingKey(2) }), caller)).toBe('good');
  const { signingGenerations: _none, ...bare } = principal();
  expect(await check(order(), bare)).toEqual(refused('signature-invalid'));
});

test('a nonce counts once per key on all nodes together, however many send it at the same time', async () => {
  const { check, order, principal, node, signingKey } = await openWorld();
  const nodes = [node(), node(), node()];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(3), { minLength: 2, maxLength: 60 }), async (picks) => {
      const nonces = [0, 1, 2, 3].map(() => freshNonce());
      const requests = nonces.map((nonce) => order({ nonce }));
      const outcomes = await Promise.all(
        picks.map((pick, at) => check(requests[pick]!, principal(), nodes[at % nodes.length]!)),
      );
      for (const pick of new Set(picks)) {
        const own = outcomes.filter((_, at) => picks[at] === pick);
        expect(own.filter((outcome) => outcome === 'good')).toHaveLength(1);
        expect(
          own
            .filter((outcome) => outcome !== 'good')
            .every((outcome) => (outcome as { code: string }).code === 'signature-replayed'),
        ).toBe(true);
      }
    }),
    { numRuns: 30 },
  );
  // Signed anew with another time, it is the same nonce; with another key it is another.
  const nonce = freshNonce();
  expect(await check(order({ nonce }))).toBe('good');
  expect(await check(order({ nonce, created: NOW_SECONDS + 1 }))).toEqual(refused('signature-replayed'));
  const keyId = systemIds.uuid();
  expect(await check(order({ nonce, keyId, signingKey: signingKey(1, keyId) }), principal({ keyId }))).toBe('good');
});

test('only a request with which everything is right spends its nonce', async () => {
  const { check, order } = await openWorld();
  const nonce = freshNonce();
  expect(await check(order({ nonce, signingKey: '00'.repeat(32) }))).toEqual(refused('signature-invalid'));
  expect(await check(order({ nonce, created: NOW_SECONDS - 301 }))).toEqual(refused('signature-expired'));
  expect(await check(order({ nonce, body: 'other' }))).toEqual(refused('digest-mismatch'));
  expect(await check(order({ nonce, path: '/other' }))).toEqual(refused('signature-invalid'));
  expect(await check(order({ nonce }))).toBe('good');
});

test('a nonce is kept until no node within its skew would take the signature any more, and then goes', async () => {
  const { check, order, database } = await openWorld();
  for (let count = 0; count < 5; count++) await check(order());
  await check(order({ created: NOW_SECONDS + 300 }));
  const kept = async (atSeconds: number) => {
    await forgetNonces(database, new Date(atSeconds * 1000));
    const { count } = await database.owner
      .selectFrom('signature_nonce')
      .select((eb) => eb.fn.countAll().as('count'))
      .executeTakeFirstOrThrow();
    return Number(count);
  };
  expect(await kept(NOW_SECONDS + 600)).toBe(6);
  expect(await kept(NOW_SECONDS + 601)).toBe(1);
  expect(await kept(NOW_SECONDS + 901)).toBe(0);
});

test('a signed request is refused with 503 while its nonce cannot be written down, and is good afterwards', async () => {
  const { check, order, database } = await openWorld();
  const request = order();
  await database.owner.transaction().execute(async (trx) => {
    // The store gives up on the lock after 5 s.
    await sql`lock table signature_nonce in access exclusive mode`.execute(trx);
    expect(await check(request)).toEqual(refused('temporarily-unavailable'));
  });
  expect(await check(request)).toBe('good');
});
