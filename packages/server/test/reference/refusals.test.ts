import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { ERRORS, type ErrorCode, type ErrorEntry } from '@gladhand/contract/errors.ts';
import { expect, test } from 'vitest';
import type { CallOptions } from '../app.ts';
import { readSources } from '../architecture/source-tree.ts';
import { type Callers, openCallers } from './callers.ts';
import { codesOf, document, type Operation, operations } from './operations.ts';

/**
 * What an operation names because of its declarations, it answers: each such refusal is provoked on each operation that
 * names it. That nothing else is answered, every other test checks as it goes: `call` holds each answer against the
 * document, with its code.
 */
/** An id that is none is answered as one that is nobody's. */
const UNKNOWN = 'nothing-of-this-name';
const OWN_PATH = 'server/test/reference/refusals.test.ts';
const JSON_TYPE = { 'content-type': 'application/json' };

/** What of a good request is replaced. */
interface Probe {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** Who calls; default: somebody who may. */
  readonly caller?: CallOptions;
}
const nobody: CallOptions = {};

const PROBES: Partial<Record<ErrorCode, (one: Operation, callers: Callers) => Probe | Promise<Probe>>> = {
  'method-not-allowed': (one) => ({ method: otherMethod(one), caller: nobody }),
  'headers-too-large': () => ({ headers: { 'x-long': 'x'.repeat(20_000) } }),
  'uri-too-long': ({ path }) => ({ path: path.replace(/\{[^}]+\}/, 'x'.repeat(300)) }),
  'credential-in-url': () => ({ query: '?token=x' }),
  unauthorized: () => ({ caller: nobody }),
  'invalid-token': () => ({ caller: { token: 'none.of.ours' } }),
  'invalid-api-key': () => ({ caller: { headers: { 'x-api-key': 'none of ours' } } }),
  forbidden: async (one, callers) => ({ caller: await callers.stranger(one) }),
  'missing-scope': async (one, callers) => ({ caller: await callers.lacking(one) }),
  'cross-site-request': ({ operation }, { adminToken }) => ({
    caller: operation.security.length === 0 ? nobody : { headers: { cookie: `gladhand_session=${adminToken}` } },
    headers: { 'sec-fetch-site': 'cross-site', ...JSON_TYPE },
    body: '{"email":"a@example.com","password":"x"}',
  }),
  'not-found': (one) => ({
    path: one.path.replaceAll(/\{[^}]+\}/g, UNKNOWN),
    query: one.path.includes('{') || one.path.includes('/oidc/') ? '' : `?fleet=${UNKNOWN}`,
    ...goodBody(one),
  }),
  'invalid-uuid': (one) => ({ path: one.path.replace(/\{id\}$/, 'no-uuid'), ...goodBody(one) }),
  'invalid-cursor': () => ({ query: '?next=made-up' }),
  'invalid-range': ({ path }) => ({ query: `?from=2026-02-30${path.endsWith('/usage') ? '' : 'T00:00:00Z'}` }),
  'validation-failed': ({ operation }) =>
    operation.requestBody === undefined ? { query: '?nonsense=1' } : { headers: JSON_TYPE, body: '{"nonsense":1}' },
  'malformed-json': () => ({ headers: JSON_TYPE, body: '{' }),
  'empty-body': () => ({ headers: JSON_TYPE, body: '' }),
  'unsupported-media-type': () => ({ headers: { 'content-type': 'text/csv' }, body: 'a;b' }),
  'body-too-large': () => ({ headers: JSON_TYPE, body: `"${'x'.repeat(1_100_000)}"` }),
};

/** The example of what the operation takes. */
function goodBody({ operation }: Operation): Probe {
  const title = operation.requestBody?.content['application/json']?.schema.$ref?.split('/').at(-1);
  if (title === undefined) return {};
  return { headers: JSON_TYPE, body: JSON.stringify(document.components.schemas[title].examples[0]) };
}

function otherMethod({ path }: Operation): string {
  const known = operations.filter((one) => one.path === path).map(({ method }) => method);
  return ['PUT', 'DELETE', 'PATCH', 'POST'].find((method) => !known.includes(method))!;
}

async function ask(callers: Callers, one: Operation, { method, path, query = '', caller, headers, body }: Probe) {
  const { token, headers: own } = caller ?? (await callers.caller(one));
  return callers.call(method ?? one.method, callers.fill(path ?? one.path) + query, {
    ...(token !== undefined && { token }),
    headers: { ...own, ...headers },
    ...(body !== undefined && { body }),
  });
}

/** In a problem document, and in the envelope. */
function spellings(code: ErrorCode): string[] {
  const { envelopeCode }: ErrorEntry = ERRORS[code];
  return [code, envelopeCode ?? code.toUpperCase().replaceAll('-', '_')];
}

test('an operation answers each refusal that it names because of what its route declares', async () => {
  const callers = await openCallers();
  const wrong: string[] = [];
  let count = 0;
  for (const one of operations) {
    for (const code of codesOf(one) as ErrorCode[]) {
      const probe = await PROBES[code]?.(one, callers);
      if (probe === undefined) continue;
      const answer = await ask(callers, one, probe);
      const found: string = answer.json?.code ?? answer.text.slice(0, 80);
      count += 1;
      if (answer.status !== ERRORS[code].status || !spellings(code).includes(found))
        wrong.push(`${one.at} ${code}: ${answer.status} ${found}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(count).toBeGreaterThan(7 * operations.length);
});

/** Sends bytes that are no request, and gives what came back until the server hung up. */
async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return text(socket);
}

test('what is no HTTP, and what does not arrive, is refused on every path with a problem document', async () => {
  const { base } = await openCallers();
  const port = Number(new URL(base).port);
  const [broken, late] = await Promise.all([
    sendRaw(port, 'GET /api/v1/fleets HTTP/1.1\r\nhost: x\r\nno header\r\n\r\n'),
    sendRaw(port, 'GET /api/v1/fleets HTTP/1.1\r\nhost: x\r\n'),
  ]);
  for (const [answer, code] of [
    [broken, 'malformed-request'],
    [late, 'body-timeout'],
  ] as const) {
    expect(answer).toContain(`HTTP/1.1 ${ERRORS[code].status} `);
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ code });
  }
});

test('every other code that is named is expected by a test of its own', () => {
  const tests = readSources().filter(({ path }) => path.endsWith('.test.ts') && path !== OWN_PATH);
  const isExpected = (code: ErrorCode) =>
    tests.some(({ text }) => spellings(code).some((spelling) => new RegExp(`['" ]${spelling}\\b`).test(text)));
  const named = [...new Set(operations.flatMap(codesOf))] as ErrorCode[];
  const untested = named.filter((code) => !(code in PROBES) && code !== 'body-timeout' && !isExpected(code));
  expect(untested).toEqual([]);
});
