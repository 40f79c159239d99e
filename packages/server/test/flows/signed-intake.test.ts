import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { deriveSigningKey, issueKey } from '../../src/access/issue-key.ts';
import type { Principal } from '../../src/access/principal.ts';
import { rotateKey } from '../../src/access/rotate-key.ts';
import { openTestApp, type TestApp } from '../app.ts';
import { openShell } from '../shell.ts';
import { freshNonce, PATH, type SignOrder, sign } from '../signer.ts';

/** Signed intake over the wire: RFC 9421 with the key's signing key, as docs/signing.md shows it. */
const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const VIN = PATH.slice(-17);

function payload(): string {
  const at = new Date().toISOString();
  const position = {
    deviceId: 1,
    valid: true,
    latitude: 39.768403,
    longitude: -86.158068,
    speed: 50,
    course: 271,
    serverTime: at,
    deviceTime: at,
    fixTime: at,
    attributes: {},
  };
  return JSON.stringify({ position, device: { id: 1, uniqueId: '352093081234567' } });
}

async function openWorld(options: { requireSignature?: boolean; flags?: Record<string, unknown> } = {}) {
  const world = await openTestApp({ flags: options.flags ?? {} });
  const { database } = world.app.backends;
  const around = { secrets: world.app.secrets, clock: systemClock, ids: systemIds };
  const key = await issueKey(database.owner, around, {
    organizationId: world.operatorId,
    audience: 'partner',
    partnerId: 'partner',
    name: 'signed',
    scopes: ['telemetry:write', 'product:traccar'],
    requireSignature: options.requireSignature ?? true,
    createdBy: null,
  });
  const authenticate = async (plaintext = key.plaintext): Promise<string> =>
    (await world.call('POST', '/api/v1/partners/authenticate', { headers: { 'x-api-key': plaintext } })).json
      .accessToken;
  const token = await authenticate();
  const authority = new URL(world.base).host;
  const signed = (order: Partial<SignOrder>) =>
    sign({ keyId: key.id, signingKey: key.signingKey, authority, ...order });
  const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>, path = PATH, by = token) =>
    world.call('POST', path, { token: by, body, headers: { 'content-type': 'application/json', ...headers } });
  const stored = async () =>
    Number(
      (
        await database.owner
          .selectFrom('envelope')
          .select((eb) => eb.fn.countAll().as('count'))
          .executeTakeFirstOrThrow()
      ).count,
    );
  return { world, database, around, key, token, authenticate, authority, signed, post, stored };
}

const outcome = (answer: Awaited<ReturnType<TestApp['call']>>) =>
  `${answer.status} ${answer.json?.code ?? answer.json?.status}`;

test('a key that requires signatures takes signed intake and refuses the same request with the signature stripped or cut', async () => {
  const { signed, post, stored } = await openWorld();
  const body = payload();
  const headers = signed({ body, idempotencyKey: 'k-1' });
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));
  const missing = await post(body, without('signature', 'signature-input'));
  expect(outcome(missing)).toBe('401 signature-missing');
  expect(missing.headers.get('date')).not.toBeNull();
  expect(outcome(await post(body, {}))).toBe('401 signature-missing');
  expect(outcome(await post('not JSON', {}))).toBe('401 signature-missing');
  for (const name of Object.keys(headers))
    expect([name, outcome(await post(body, without(name)))]).toEqual([name, '401 signature-invalid']);
  expect(outcome(await post(`${body} `, headers))).toBe('400 digest-mismatch');
  expect(outcome(await post(body, headers, PATH.replace('518', '51X')))).toBe('401 signature-invalid');
  expect(await stored()).toBe(0);
  expect(outcome(await post(body, headers))).toBe('202 queued');
  expect(outcome(await post(body, headers))).toBe('401 signature-replayed');
  // A retry is signed anew, and is the same request all the same.
  const again = await post(body, signed({ body, idempotencyKey: 'k-1' }));
  expect([outcome(again), again.headers.get('idempotency-replayed')]).toEqual(['202 queued', 'true']);
  expect(await stored()).toBe(1);
});

test('with a key that does not require them, unsigned intake is taken, and a wrong signature is refused all the same', async () => {
  const { signed, post } = await openWorld({ requireSignature: false });
  const body = payload();
  expect(outcome(await post(body, {}))).toBe('202 queued');
  expect(outcome(await post(body, signed({ body })))).toBe('202 queued');
  expect(outcome(await post(body, signed({ body, signingKey: '00'.repeat(32) })))).toBe('401 signature-invalid');
  expect(outcome(await post(body, signed({ body, created: Math.floor(Date.now() / 1000) - 400 })))).toBe(
    '401 signature-expired',
  );
});

test('the digest is over the bytes as sent: compressed when the body is', async () => {
  const { signed, post } = await openWorld();
  const plain = payload();
  const body = new Uint8Array(gzipSync(plain));
  expect(outcome(await post(body, { 'content-encoding': 'gzip', ...signed({ body: plain }) }))).toBe(
    '400 digest-mismatch',
  );
  expect(outcome(await post(body, { 'content-encoding': 'gzip', ...signed({ body }) }))).toBe('202 queued');
  const broken = body.slice(0, -9);
  expect(outcome(await post(broken, { 'content-encoding': 'gzip', ...signed({ body }) }))).toBe('400 digest-mismatch');
});

test('the query is free, the authority is the Host header and nothing a client could put beside it', async () => {
  const { world, signed, post, token, authority } = await openWorld();
  const body = payload();
  expect(outcome(await post(body, signed({ body }), `${PATH}?trip=7`))).toBe('202 queued');
  expect(outcome(await post(body, { 'x-forwarded-host': 'other.example', ...signed({ body }) }))).toBe('202 queued');
  expect(
    outcome(await post(body, { 'x-forwarded-host': 'other.example', ...signed({ body, authority: 'other.example' }) })),
  ).toBe('401 signature-invalid');
  const withHost = (host: string, headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      const all = { host, authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers };
      const request = httpRequest(`${world.base}${PATH}`, { method: 'POST', headers: all }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode));
      });
      request.on('error', reject).end(body);
    });
  expect(await withHost('Telemetry.Example:80', signed({ body, authority: 'telemetry.example' }))).toBe(202);
  expect(await withHost('other.example', signed({ body, authority }))).toBe(401);
});

test('signing headers that come twice, an absolute target and headers beyond measure are refused without a 5xx', async () => {
  const { world, signed, token, authority } = await openWorld();
  const body = payload();
  const lines = (order: Partial<SignOrder> = {}) =>
    Object.entries(signed({ body, idempotencyKey: 'k-1', ...order })).map(([name, value]) => `${name}: ${value}`);
  const send = (target: string, extra: string[]) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(world.app.httpPort, '127.0.0.1');
      let text = '';
      socket
        .on('data', (chunk) => (text += chunk.toString()))
        .on('error', reject)
        .on('close', () => resolve(text.split('\r\n')[0]!));
      const head = [
        `POST ${target} HTTP/1.1`,
        `Host: ${authority}`,
        `Authorization: Bearer ${token}`,
        'Content-Type: application/json',
        `Content-Length: ${Buffer.byteLength(body)}`,
        'Connection: close',
      ];
      socket.write(`${[...head, ...extra].join('\r\n')}\r\n\r\n${body}`);
    });
  expect(await send(PATH, lines())).toMatch(/ 202 /);
  for (let at = 0; at < lines().length; at++) {
    const doubled = lines();
    expect(await send(PATH, [...doubled, doubled[at]!])).toMatch(/ 40[01] /);
  }
  expect(await send(PATH, [...lines(), `Host: ${authority}`])).toMatch(/ 40[01] /);
  expect(await send(`http://${authority}${PATH}`, lines())).toMatch(/ 40[014] /);
  const long = `signature-input: gladhand=(${'"@method" '.repeat(1_000)})`;
  expect(await send(PATH, [...lines().filter((line) => !line.startsWith('signature-input')), long])).toMatch(/ 401 /);
  expect(await send(PATH, [...lines(), `x: ${'x'.repeat(20_000)}`])).toMatch(/ 431 /);
});

test('whatever stands in the signing headers, the answer is 401 or 400', async () => {
  const { signed, post, stored } = await openWorld();
  const body = payload();
  const piece = fc.oneof(
    fc.constantFrom('gladhand', '=', '(', ')', '"', ';', ',', ':', '"@method"', ';created=1'),
    fc.string({ maxLength: 10 }),
  );
  const text = fc.array(piece, { maxLength: 15 }).map((pieces) => pieces.join('').replace(/[^\x21-\x7e]/g, ''));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('signature-input', 'signature', 'content-digest'), text, async (name, value) => {
      expect([400, 401]).toContain((await post(body, { ...signed({ body }), [name]: value })).status);
    }),
    { numRuns: 200 },
  );
  expect(await stored()).toBe(0);
});

test('of 200 replays of one request on two nodes at the same time exactly one is accepted', async () => {
  const secret = '5a'.repeat(32);
  const one = await openWorld({ flags: { 'access.secret': secret } });
  const { host, port, user, password, database: name } = one.database.host.connection;
  const url = `postgres://${user}:${encodeURIComponent(String(password))}@/${name}?host=${encodeURIComponent(String(host))}&port=${port}`;
  const other = await openTestApp({ flags: { 'access.secret': secret, 'database.url': url } });
  const body = payload();
  for (let round = 0; round < 3; round++) {
    // The same name on both: a proxy in front of several nodes passes Host on.
    const headers = {
      ...sign({ keyId: one.key.id, signingKey: one.key.signingKey, authority: 'telemetry.example', body }),
    };
    const send = (base: string) =>
      new Promise<number>((resolve, reject) => {
        const all = {
          host: 'telemetry.example',
          authorization: `Bearer ${one.token}`,
          'content-type': 'application/json',
          ...headers,
        };
        const request = httpRequest(`${base}${PATH}`, { method: 'POST', headers: all }, (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode!));
        });
        request.on('error', reject).end(body);
      });
    const statuses = await Promise.all(
      Array.from({ length: 200 }, (_, at) => send(at % 2 === 0 ? one.world.base : other.base)),
    );
    expect(statuses.filter((status) => status === 202)).toHaveLength(1);
    expect(statuses.filter((status) => status === 401)).toHaveLength(199);
  }
});

test('after a rotation the old signing key is good until its overlap ends, with the old token and the new', async () => {
  const { world, database, around, key, authenticate, token, signed, post } = await openWorld();
  const caller = { keyId: key.id, organizationId: world.operatorId, generation: 1 } as Principal;
  const rotation = { overlapSeconds: 3_600, address: '127.0.0.1', requestId: systemIds.uuid() };
  const rotated = await rotateKey({ ...around, database }, caller, rotation);
  expect(rotated.signingKey).toBe(deriveSigningKey(world.app.secrets, key.id, 2).toString('hex'));
  const body = payload();
  const fresh = await authenticate(rotated.key);
  await expect
    .poll(async () => outcome(await post(body, signed({ body, signingKey: rotated.signingKey }))))
    .toBe('202 queued');
  for (const by of [token, fresh]) {
    for (const signingKey of [key.signingKey, rotated.signingKey])
      expect(outcome(await post(body, signed({ body, signingKey }), PATH, by))).toBe('202 queued');
  }
  await database.owner
    .updateTable('api_key_secret')
    .set({ expires_at: new Date() })
    .where('key_id', '=', key.id)
    .where('generation', '=', 1)
    .execute();
  await expect.poll(async () => outcome(await post(body, signed({ body }), PATH, fresh))).toBe('401 signature-invalid');
  expect(outcome(await post(body, signed({ body, signingKey: rotated.signingKey }), PATH, fresh))).toBe('202 queued');
});

describe('docs/signing.md', () => {
  test('its examples, in Node.js and with openssl and curl, are accepted as they stand there, and show no secret', async () => {
    const { world, key, token, stored } = await openWorld();
    const directory = mkdtempSync(join(tmpdir(), 'gladhand-signed-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    writeFileSync(join(directory, 'payload.json'), payload());
    const shell = openShell();
    const env = {
      GLADHAND_API_KEY: key.plaintext,
      GLADHAND_KEY_ID: key.id,
      GLADHAND_SIGNING_KEY: key.signingKey,
    };
    const js = (...more: string[]) => {
      const example = join(ROOT, 'examples/sign-intake.mjs');
      return shell.run(`node '${example}' ${VIN} payload.json --at ${world.base} ${more.join(' ')}`, directory, env);
    };
    const sh = (more = '', change = {}) => {
      const example = join(ROOT, 'examples/sign-intake.sh');
      return shell.run(`'${example}' ${VIN} payload.json ${world.base} ${more}`, directory, { ...env, ...change });
    };
    const receipts = [await js(), await sh(), await js('--idempotency-key', 'trip-7'), await sh('trip-7')].map(
      ({ stdout }) => JSON.parse(stdout),
    );
    for (const receipt of receipts) {
      expect(receipt).toMatchObject({ status: 'queued' });
      expect((await world.settled(token, receipt.receiptId)).status).toBe('unclaimed');
    }
    // The last two had one Idempotency-Key.
    expect(receipts[3].receiptId).toBe(receipts[2].receiptId);
    expect(await stored()).toBe(3);
    await expect(sh('', { GLADHAND_SIGNING_KEY: '00'.repeat(32) })).rejects.toThrow('signature-invalid');
    expect(shell.seenArguments()).toContain('openssl dgst -sha256');
    for (const secret of [key.plaintext, key.signingKey, 'eyJhbGciOi'])
      expect(shell.seenArguments()).not.toContain(secret);
  });

  test('it shows the examples as they are, and the vector that the tests check', () => {
    const page = readFileSync(join(ROOT, 'docs/signing.md'), 'utf8');
    expect(page).toContain(readFileSync(join(ROOT, 'examples/sign-intake.sh'), 'utf8').trim());
    const source = readFileSync(join(ROOT, 'examples/sign-intake.mjs'), 'utf8');
    expect(page).toContain(
      source.slice(source.indexOf('/**\n * The headers that sign'), source.indexOf('const { positionals')).trim(),
    );
    expect(page).toContain('4kuwe9Nl5YS9klTYNQ/sov8WW7t2cMLeoumA+lP811Q=');
    expect(freshNonce().length).toBeGreaterThanOrEqual(16);
  });
});
