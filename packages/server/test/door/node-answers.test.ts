import { once } from 'node:events';
import { connect } from 'node:net';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { ERRORS, type ErrorCode } from '@gladhand/contract/errors.ts';
import { expect, onTestFinished, test } from 'vitest';
import { createHttp, HTTP_LIMITS, type HttpLimits } from '../../src/edge/http.ts';
import { openApiContract } from '../api-contract.ts';
import { type RawAnswer, readAnswers, sendRaw } from '../raw-http.ts';

/** Whatever Node would answer by itself is a problem document with a code of the registry, and modems still get through. */
async function openDoor(limits: Partial<HttpLimits> = {}) {
  const parts = { log: silentLogger, ids: systemIds, clock: systemClock, trustedProxies: [] };
  const http = createHttp({ ...parts, limits: { ...HTTP_LIMITS, ...limits } });
  http.decorateRequest('principal', null);
  const config = { access: 'public', limit: 'none' } as const;
  const handled: unknown[] = [];
  const schema = { body: { type: 'object' } };
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  http.post('/echo', { config, schema }, async (request) => {
    handled.push(request.body);
    return { got: request.body };
  });
  http.get('/held', { config }, async () => {
    handled.push('held');
    await held;
    return { got: 'held' };
  });
  await http.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => http.close());
  const { port } = http.server.address() as { port: number };
  return { http, handled, release, send: (bytes: string | readonly string[]) => sendRaw(port, bytes) };
}

const post = (head: string, body = '') => `POST /echo HTTP/1.1\r\nHost: x\r\n${head}\r\n${body}`;
const JSON_OF_2 = 'Content-Type: application/json\r\nContent-Length: 2\r\n';
const CLOSE = 'Connection: close\r\n';

async function expectProblem(answer: RawAnswer | undefined, code: ErrorCode): Promise<void> {
  expect([answer?.status, answer?.json?.code, answer?.body]).toEqual([ERRORS[code].status, code, answer?.body]);
  expect(answer!.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(answer!.headers['x-request-id']).toBe(answer!.json.requestId);
  expect(answer!.json.detail).toMatch(/^[A-Z].{10,}\.$/);
  expect(answer!.headers['date']).toBeDefined();
  expect((await openApiContract()).checkSchema('Problem', answer!.json)).toEqual([]);
}

const REFUSED: readonly [name: string, bytes: string, code: ErrorCode][] = [
  ['an Expect that cannot be met', post(`Expect: tea\r\n${JSON_OF_2}`), 'expectation-failed'],
  [
    'an Expect that has more than 100-continue',
    post(`Expect: 100-continue, tea\r\n${JSON_OF_2}`),
    'expectation-failed',
  ],
  ['HTTP/1.1 without Host', `POST /echo HTTP/1.1\r\n${CLOSE}${JSON_OF_2}\r\n{}`, 'malformed-request'],
  ['no HTTP', 'HELLO\r\n\r\n', 'malformed-request'],
  ['a version that is none', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n', 'malformed-request'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'malformed-request'],
  ['a method that is none', 'BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n', 'malformed-request'],
  ['a header without a name', 'GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', 'malformed-request'],
  ['a header with a space in its name', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 'malformed-request'],
  ['a length that is none', post('Content-Length: two\r\n', '{}'), 'malformed-request'],
  ['two lengths', post('Content-Length: 2\r\nContent-Length: 3\r\n', '{}'), 'malformed-request'],
  [
    'Content-Length with Transfer-Encoding',
    post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '{}'),
    'malformed-request',
  ],
  ['a transfer coding that is none', post('Transfer-Encoding: chunked, tea\r\n', '{}'), 'malformed-request'],
  [
    'a chunk size that is none',
    post('Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', 'zz\r\n'),
    'malformed-request',
  ],
  [
    'chunk extensions without end',
    post('Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', `1;${'x'.repeat(20_000)}\r\n`),
    'body-too-large',
  ],
  ['headers beyond 16 KiB', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 'headers-too-large'],
  ['a request line beyond 16 KiB', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 'headers-too-large'],
  ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n', 'method-not-allowed'],
];

test.each(REFUSED)(
  '%s is refused with a problem document, and the connection is closed',
  async (_name, bytes, code) => {
    const door = await openDoor();
    const answers = await door.send(bytes);
    expect(answers).toHaveLength(1);
    await expectProblem(answers[0], code);
    expect(answers[0]!.headers['connection']).toBe('close');
    if (code === 'method-not-allowed') expect(answers[0]!.headers['allow']).toContain('GET');
    expect(door.handled).toEqual([]);
  },
);

test('headers and a body that do not arrive in time are refused with 408', async () => {
  const door = await openDoor({ headersTimeoutMs: 200, requestTimeoutMs: 400 });
  for (const bytes of ['POST /echo HTTP/1.1\r\nHost: x\r\n', post(JSON_OF_2, '{')]) {
    const answers = await door.send(bytes);
    expect(answers).toHaveLength(1);
    await expectProblem(answers[0], 'body-timeout');
  }
});

const TAKEN: readonly [name: string, bytes: string | string[], statuses: number[]][] = [
  ['HTTP/1.0 without Host', `POST /echo HTTP/1.0\r\n${JSON_OF_2}\r\n{}`, [200]],
  [
    'HTTP/1.0 with an Expect, which it does not know',
    `POST /echo HTTP/1.0\r\nExpect: tea\r\n${JSON_OF_2}\r\n{}`,
    [200],
  ],
  [
    'a chunked body',
    post(`${CLOSE}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n`, '1\r\n{\r\n1\r\n}\r\n0\r\n\r\n'),
    [200],
  ],
  ['Expect: 100-continue', [post(`${CLOSE}Expect: 100-continue\r\n${JSON_OF_2}`), '{}'], [100, 200]],
  ['Expect: 100-Continue', [post(`${CLOSE}Expect: 100-Continue\r\n${JSON_OF_2}`), '{}'], [100, 200]],
  ['an absolute URI', `POST http://elsewhere:81/echo HTTP/1.1\r\nHost: x\r\n${CLOSE}${JSON_OF_2}\r\n{}`, [200]],
  ['an offer to upgrade', post(`Connection: close, upgrade\r\nUpgrade: h2c\r\n${JSON_OF_2}`, '{}'), [200]],
];

test.each(TAKEN)('%s goes through', async (_name, bytes, statuses) => {
  const door = await openDoor();
  const answers = await door.send(bytes);
  expect(answers.map(({ status }) => status)).toEqual(statuses);
  expect(answers.at(-1)!.json).toEqual({ got: {} });
});

test('no 100 Continue is sent to a request that is refused', async () => {
  const door = await openDoor();
  const [answer, ...more] = await door.send(
    `POST /nowhere HTTP/1.1\r\nHost: x\r\n${CLOSE}Expect: 100-continue\r\n${JSON_OF_2}\r\n`,
  );
  expect(more).toEqual([]);
  await expectProblem(answer, 'not-found');
});

test('what is malformed behind a request on the same connection is answered after it, not in its place', async () => {
  const door = await openDoor();
  const answers = door.send('GET /held HTTP/1.1\r\nHost: x\r\n\r\nHELLO\r\n\r\n');
  await expect.poll(() => door.handled).toEqual(['held']);
  door.release();
  const [held, malformed, ...more] = await answers;
  expect([held!.status, held!.json, more]).toEqual([200, { got: 'held' }, []]);
  await expectProblem(malformed, 'malformed-request');
});

test('a request that was refused at its headers is not refused again for its body', async () => {
  const door = await openDoor();
  const chunked = 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n';
  const answers = await door.send([`POST /nowhere HTTP/1.1\r\nHost: x\r\n${chunked}\r\n`, 'zz\r\n']);
  expect(answers.map(({ status }) => status)).toEqual([404]);
});

test('a request that comes while the server shuts down is told to come again', async () => {
  const door = await openDoor();
  const { port } = door.http.server.address() as { port: number };
  // The second request has begun, so that the connection is not idle, when the first is answered.
  const begun = `${post(JSON_OF_2, '{}')}GET /held HTTP/1.1\r\nHo`;
  const socket = connect(port, '127.0.0.1', () => socket.write(begun));
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  const gone = once(socket, 'close');
  await expect.poll(() => text).toContain('{"got":{}}');
  const closed = door.http.close();
  await expect.poll(() => door.http.server.listening).toBe(false);
  socket.write('st: x\r\n\r\n');
  await Promise.all([gone, closed]);
  const [first, refused, ...more] = readAnswers(text);
  expect([first!.status, more, door.handled]).toEqual([200, [], [{}]]);
  await expectProblem(refused, 'shutting-down');
  expect(Number(refused!.headers['retry-after'])).toBeGreaterThan(0);
  expect(refused!.headers['connection']).toBe('close');
});
