import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/**
 * Sends every line of a file as one payload of a VIN and keeps to the limits: it slows down before it is refused, waits
 * as long as it is told when it is, and loses nothing. Needs nothing but Node.js 20 or newer.
 *
 *   export GLADHAND_API_KEY=<the API key>
 *   node examples/back-off.mjs <VIN> <file with one JSON document per line> [--at http://127.0.0.1:8080]
 *
 * Prints a line for each payload and, to stderr, each wait and its reason.
 *
 * @typedef {object} Answer
 * @property {number} status
 * @property {Headers} headers
 * @property {{ receiptId?: string, accessToken?: string, code?: string, detail?: string }} body
 */

/** A server that is restarting is back within a minute; somebody has to look at one that is not. */
const ATTEMPTS_MAX = 8;
const WAIT_MS_MAX = 60_000;

/**
 * Sends until it is accepted or can never be.
 *
 * @param {() => Promise<Answer>} send Must send the same bytes with the same Idempotency-Key each time.
 * @param {(text: string) => void} say
 */
export async function sendPatiently(send, say) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await send().catch((/** @type {Error} */ error) => error);
    const isError = answer instanceof Error;
    // 429: a limit. 503: overload or a restart. 5xx and broken connections: unknown, and repeating the bytes is safe.
    const mayRetry = isError || answer.status === 429 || answer.status >= 500;
    if (!mayRetry) return answer;
    if (attempt === ATTEMPTS_MAX) {
      if (isError) throw answer;
      return answer;
    }
    const told = isError ? Number.NaN : Number(answer.headers.get('retry-after') ?? Number.NaN);
    // Told how long: exactly that, for it is different for everybody already. Not told: twice as long each time, drawn
    // anew, so that senders that failed together do not come back together.
    const waitMs = Number.isNaN(told) ? Math.random() * Math.min(WAIT_MS_MAX, 500 * 2 ** attempt) : told * 1000;
    say(
      `waiting ${(waitMs / 1000).toFixed(1)} s: ${isError ? answer.message : `${answer.status} ${answer.body.code}`}`,
    );
    await delay(waitMs);
  }
}

/**
 * How long to wait before the next request so that what is left lasts until there is more: nothing while more than a
 * fifth is left, then the time that remains divided by what remains. Reads RateLimit-Policy and RateLimit.
 *
 * @param {Headers} headers
 */
export function paceMs(headers) {
  const quotas = parameters(headers.get('ratelimit-policy'), 'q');
  const left = parameters(headers.get('ratelimit'), 'r');
  const resets = parameters(headers.get('ratelimit'), 't');
  const waits = [...quotas].map(([name, quota]) => {
    const [remaining, resetSeconds] = [left.get(name), resets.get(name)];
    if (remaining === undefined || resetSeconds === undefined || remaining > quota / 5) return 0;
    return (resetSeconds * 1000) / (remaining + 1);
  });
  return Math.max(0, ...waits);
}

/**
 * `"intake";q=300;w=60, "other";q=5` -> intake: 300, other: 5.
 *
 * @param {string | null} field
 * @param {string} parameter
 */
function parameters(field, parameter) {
  const found = (field ?? '').matchAll(/"([^"]*)"((?:;[a-z]+=(?:\d+|"[^"]*"))*)/g);
  /** @type {Map<string, number>} */
  const numbers = new Map();
  for (const [, name = '', rest = ''] of found) {
    const value = new RegExp(`;${parameter}=(\\d+)`).exec(rest)?.[1];
    if (value !== undefined) numbers.set(name, Number(value));
  }
  return numbers;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { at: { type: 'string', default: 'http://127.0.0.1:8080' } },
});
const [vin, file] = positionals;
const { GLADHAND_API_KEY: apiKey } = process.env;
if (!apiKey || vin === undefined || file === undefined) {
  console.error('Usage: node examples/back-off.mjs <VIN> <file with one JSON document per line>');
  console.error('GLADHAND_API_KEY has to be set.');
  process.exit(2);
}

/**
 * @param {string} path
 * @param {Record<string, string>} headers
 * @param {string} [body]
 * @returns {Promise<Answer>}
 */
async function call(path, headers, body) {
  const answer = await fetch(new URL(path, values.at), {
    method: 'POST',
    headers,
    ...(body !== undefined && { body }),
  });
  return { status: answer.status, headers: answer.headers, body: /** @type {Answer['body']} */ (await answer.json()) };
}
const say = (/** @type {string} */ text) => console.error(text);

/**
 * What waiting does not mend, somebody has to look at.
 *
 * @param {string} what
 * @param {Answer} answer
 */
function giveUp(what, { status, body }) {
  console.error(`${what}: ${status} ${body.code}: ${body.detail}`);
  process.exit(1);
}

// One token for all of it: keys may be traded ten times in five minutes, and a token is good for `expiresIn` seconds.
const traded = await sendPatiently(() => call('/api/v1/partners/authenticate', { 'x-api-key': apiKey }), say);
if (traded.status !== 200) giveUp('authenticate', traded);
const { accessToken } = traded.body;

for (const line of readFileSync(file, 'utf8').split('\n')) {
  if (line.trim() === '') continue;
  // The same for every attempt, so that a payload counts once however often it had to be sent.
  const headers = {
    authorization: `Bearer ${accessToken}`,
    'content-type': 'application/json',
    'idempotency-key': crypto.randomUUID(),
  };
  const answer = await sendPatiently(() => call(`/api/v1/telemetry/intake/${vin}`, headers, line), say);
  if (answer.status !== 202) giveUp('intake', answer);
  console.log(`accepted ${answer.body.receiptId}`);
  const waitMs = paceMs(answer.headers);
  if (waitMs > 0) await delay(waitMs);
}
