import { connect } from 'node:net';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openTestApp, type TestApp } from '../app.ts';

/** Whatever a partner sends wrongly is answered by a problem document that says what to do, and never by a 5xx. */
const VIN = '1UYVS2533P7204518';
const GOOD = JSON.stringify({ position: fix(), device: { id: 1, uniqueId: '352093081234567' } });

function fix() {
  const at = new Date().toISOString();
  return {
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
}

function nested(depth: number): string {
  return `${'['.repeat(depth)}${']'.repeat(depth)}`;
}

async function openIntake() {
  const world = await openTestApp();
  const token = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, vin = VIN) =>
    world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
      token,
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
  return { world, token, post };
}

function expectProblem(answer: Awaited<ReturnType<TestApp['call']>>, status: number, code: string): void {
  expect([answer.status, answer.json?.code]).toEqual([status, code]);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.json).toMatchObject({
    type: `https://gladhand.dev/errors/${code}`,
    status,
    requestId: answer.headers.get('x-request-id'),
  });
  expect(answer.json.detail.length).toBeGreaterThan(10);
  expect(answer.text).not.toMatch(/node_modules|packages\/|select |\bat \w+ \(/);
}

test('every broken body is refused with its own code, and none of them is stored', async () => {
  const { world, post } = await openIntake();
  const body = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
  const cases: [name: string, body: string | Uint8Array<ArrayBuffer>, status: number, code: string][] = [
    ['empty', '', 400, 'empty-body'],
    ['malformed', '{"a":', 400, 'malformed-json'],
    ['two documents', '{} {}', 400, 'malformed-json'],
    ['NaN', '{"a":NaN}', 400, 'malformed-json'],
    ['deep', nested(10_000), 400, 'too-deep'],
    ['deep objects', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, 400, 'too-deep'],
    ['huge', `{"a":"${'x'.repeat(1_048_577)}"}`, 413, 'body-too-large'],
    ['__proto__', '{"position":{},"__proto__":{"isAdmin":true}}', 400, 'forbidden-json-key'],
    ['__proto__ in disguise', '{"\\u005f_proto__":{"isAdmin":true}}', 400, 'forbidden-json-key'],
    ['constructor.prototype', '{"constructor":{"prototype":{"a":1}}}', 400, 'forbidden-json-key'],
    ['raw NUL', '{"a":"\0"}', 400, 'malformed-json'],
    ['escaped NUL', '{"a":"\\u0000"}', 400, 'validation-failed'],
    ['lone surrogate', '{"a":"\\ud800"}', 400, 'validation-failed'],
    ['lone surrogate in a key', '{"\\udc00":1}', 400, 'validation-failed'],
    ['invalid UTF-8', body('{"a":"\xff\xfe"}'), 400, 'malformed-encoding'],
    ['1e400', '{"position":{"latitude":1e400}}', 400, 'validation-failed'],
    [
      'a wrong type',
      JSON.stringify({ position: { ...fix(), latitude: 'north' }, device: {} }),
      400,
      'validation-failed',
    ],
    ['not the product’s form', '{"hello":"world"}', 400, 'validation-failed'],
    ['a bare string', '"hello"', 400, 'validation-failed'],
    ['null', 'null', 400, 'validation-failed'],
  ];
  for (const [name, bytes, status, code] of cases) {
    const answer = await post(bytes);
    expect([name, answer.status, answer.json?.code]).toEqual([name, status, code]);
    expectProblem(answer, status, code);
  }
  const { count } = await world.app.backends.database.owner
    .selectFrom('envelope')
    .select((eb) => eb.fn.countAll().as('count'))
    .executeTakeFirstOrThrow();
  expect(Number(count)).toBe(0);
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
});

test('validation names every place by its JSON Pointer', async () => {
  const { post } = await openIntake();
  const answer = await post('{"device":7}');
  expectProblem(answer, 400, 'validation-failed');
  expect(answer.json.errors.map((error: { pointer: string }) => error.pointer)).toEqual(
    expect.arrayContaining(['/device', '/position']),
  );
});

test('of duplicate keys the last one counts', async () => {
  const { world, token, post } = await openIntake();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T1' });
  const answer = await post(GOOD.replace('"latitude":39.768403', '"latitude":10,"latitude":39.768403'));
  expect(answer.status).toBe(202);
  const receipt = await world.settled(token, answer.json.receiptId);
  expect(receipt.status).toBe('processed');
  const reader = await world.token(world.customerId, 'customer', ['telemetry:read', 'trailers:read']);
  const page = await world.call('GET', `/api/v1/trailers/telemetry/gps/${VIN}`, { token: reader });
  expect(page.json.data[0].signals.gps.latitude).toBe(39.768403);
});

test('gzip, br and zstd are accepted, and a bomb stops at the limit', async () => {
  const { post } = await openIntake();
  const bytes = (buffer: Buffer) => new Uint8Array(buffer);
  for (const [encoding, encode] of [
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    expect((await post(bytes(encode(GOOD)), { 'content-encoding': encoding })).status).toBe(202);
    const bomb = encode(Buffer.alloc(64 * 1024 * 1024, ' '));
    expectProblem(await post(bytes(bomb), { 'content-encoding': encoding }), 413, 'body-too-large');
    expectProblem(await post(GOOD, { 'content-encoding': encoding }), 400, 'malformed-encoding');
  }
});

test('codings are told by name in either case, and one that is not known is refused with those that are', async () => {
  const { post } = await openIntake();
  const packed = new Uint8Array(gzipSync(GOOD));
  for (const coding of ['GZIP', 'x-gzip', 'X-GZip', ' gzip ']) {
    expect([coding, (await post(packed, { 'content-encoding': coding })).status]).toEqual([coding, 202]);
  }
  for (const coding of ['identity', 'Identity', ''])
    expect([coding, (await post(GOOD, { 'content-encoding': coding })).status]).toEqual([coding, 202]);
  for (const coding of ['compress', 'deflate', 'gzip, br', 'constructor']) {
    const refused = await post(packed, { 'content-encoding': coding });
    expectProblem(refused, 415, 'unsupported-media-type');
    expect(refused.headers.get('accept-encoding')).toBe('gzip, br, zstd');
  }
  const type = await post(GOOD, { 'content-type': 'text/plain' });
  expect([type.status, type.headers.get('accept')]).toEqual([415, 'application/json']);
});

test('only application/json is taken', async () => {
  const { world, token, post } = await openIntake();
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'nonsense']) {
    expectProblem(await post(GOOD, { 'content-type': type }), 415, 'unsupported-media-type');
  }
  expect((await post(GOOD, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(202);
  const missing = await world.call('POST', `/api/v1/telemetry/intake/${VIN}`, {
    token,
    body: new Uint8Array(Buffer.from(GOOD)),
  });
  expectProblem(missing, 415, 'unsupported-media-type');
  expectProblem(await world.call('POST', `/api/v1/telemetry/intake/${VIN}`, { token }), 415, 'unsupported-media-type');
});

describe('VINs', () => {
  test('of 16 characters or with I, O, Q are refused; lower case is normalized; a failed check digit is marked', async () => {
    const { world, token, post } = await openIntake();
    for (const vin of [
      '1UYVS2533P720451',
      '1UYVS2533P72045188',
      '1UYVS2533P720451I',
      'OUYVS2533P7204518',
      '1UYVS2533Q7204518',
      '%00UYVS2533P720451',
      'x',
    ]) {
      expectProblem(await post(GOOD, {}, vin), 400, 'invalid-vin');
    }
    const lower = await post(GOOD, {}, VIN.toLowerCase());
    expect(lower.status).toBe(202);
    expect((await world.settled(token, lower.json.receiptId)).vin).toBe(VIN);
    const failing = '1UYVS2530P7204518';
    const trailer = await world.registry.createTrailer(world.customerId, { vin: failing, name: 'T2' });
    expect(trailer.vinCheck).toBe('fail');
    expect((await world.settled(token, (await post(GOOD, {}, failing)).json.receiptId)).status).toBe('processed');
  });
});

describe('tokens and paths', () => {
  test('no, malformed, expired and foreign tokens are 401; a token of a customer and a missing scope are 403', async () => {
    const { world, token } = await openIntake();
    const path = `/api/v1/telemetry/intake/${VIN}`;
    const send = (headers: Record<string, string>) =>
      world.call('POST', path, { body: GOOD, headers: { 'content-type': 'application/json', ...headers } });
    expectProblem(await send({}), 401, 'unauthorized');
    expectProblem(await send({ authorization: 'Basic YTpi' }), 401, 'unauthorized');
    expectProblem(await send({ authorization: 'Bearer' }), 401, 'unauthorized');
    expectProblem(await send({ authorization: 'Bearer a.b.c' }), 401, 'invalid-token');
    expectProblem(await send({ authorization: `Bearer ${token}x` }), 401, 'invalid-token');
    const customer = await world.token(world.customerId, 'customer', ['fleets:read']);
    expectProblem(await send({ authorization: `Bearer ${customer}` }), 403, 'forbidden');
    const reader = await world.token(world.operatorId, 'partner', ['product:traccar']);
    expectProblem(await send({ authorization: `Bearer ${reader}` }), 403, 'missing-scope');
    const unknown = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:not-there']);
    expectProblem(await send({ authorization: `Bearer ${unknown}` }), 403, 'unknown-product');
    const refused = await send({});
    expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer /);
  });

  test('unknown paths are 404, known paths with another method 405, credentials in the URL 400', async () => {
    const { world, token } = await openIntake();
    expectProblem(await world.call('GET', '/nothing/here'), 404, 'not-found');
    expectProblem(await world.call('GET', '/api/v2/fleets', { token }), 404, 'not-found');
    expectProblem(await world.call('DELETE', `/api/v1/telemetry/intake/${VIN}`, { token }), 405, 'method-not-allowed');
    expectProblem(await world.call('GET', '/api/v1/partners/authenticate'), 405, 'method-not-allowed');
    expectProblem(
      await world.call('GET', `/api/v1/telemetry/receipts/x?access_token=${token}`, { token }),
      400,
      'credential-in-url',
    );
    expectProblem(await world.call('GET', '/api/v1/telemetry/receipts/%E0%A4%A', { token }), 400, 'malformed-request');
  });

  test('what is not HTTP gets a problem document and a closed connection', async () => {
    const { world } = await openIntake();
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(world.app.httpPort, '127.0.0.1', () => socket.write('HELLO\r\n\r\n'));
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"malformed-request"/);
  });
});

describe('Idempotency-Key', () => {
  test('the same key and bytes give the same receipt, other bytes 422, another key of the API another receipt', async () => {
    const { world, post } = await openIntake();
    const key = { 'idempotency-key': 'a-1' };
    const first = await post(GOOD, key);
    const again = await post(GOOD, key);
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.json).toEqual(first.json);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expectProblem(await post(`${GOOD} `, key), 422, 'idempotency-key-reused');
    expectProblem(await post(GOOD, key, '1UYVS2535R3118640'), 422, 'idempotency-key-reused');
    expectProblem(await post(GOOD, { 'idempotency-key': 'with space' }), 400, 'invalid-idempotency-key');
    const other = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar'], 'another');
    const independent = await world.call('POST', `/api/v1/telemetry/intake/${VIN}`, {
      token: other,
      body: `${GOOD} `,
      headers: { 'content-type': 'application/json', ...key },
    });
    expect(independent.status).toBe(202);
    expect(independent.json.receiptId).not.toBe(first.json.receiptId);
  });

  test('200 equal requests at once have one effect', async () => {
    const { world, token, post } = await openIntake();
    const answers = await Promise.all(Array.from({ length: 200 }, () => post(GOOD, { 'idempotency-key': 'burst' })));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]));
    expect(new Set(answers.map((answer) => answer.json.receiptId)).size).toBe(1);
    await world.settled(token, answers[0]!.json.receiptId);
    const { count } = await world.app.backends.database.owner
      .selectFrom('envelope')
      .select((eb) => eb.fn.countAll().as('count'))
      .executeTakeFirstOrThrow();
    expect(Number(count)).toBe(1);
  });
});
