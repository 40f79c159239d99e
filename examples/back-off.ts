import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/**
 * Sends every line of a file as one payload of a VIN and keeps to the limits: it slows down before it is refused, waits
 * as long as it is told when it is, and loses nothing. Needs nothing but Node.js.
 *
 *   node examples/back-off.ts <API key> <VIN> <file with one JSON document per line> [--at http://localhost:8080]
 *
 * Prints a line for each payload and, to stderr, each wait and its reason.
 */
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly receiptId?: string; readonly code?: string; readonly detail?: string };
}

/** A server that is restarting is back within a minute; somebody has to look at one that is not. */
const ATTEMPTS_MAX = 8;
const WAIT_MS_MAX = 60_000;

/** Sends until it is accepted or can never be; `send` must send the same bytes with the same Idempotency-Key each time. */
export async function sendPatiently(send: () => Promise<Answer>, say: (text: string) => void): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await send().catch((error: Error) => error);
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
 */
export function paceMs(headers: Headers): number {
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

/** `"intake";q=300;w=60, "other";q=5` -> intake: 300, other: 5. */
function parameters(field: string | null, parameter: string): Map<string, number> {
  const found = (field ?? '').matchAll(/"([^"]*)"((?:;[a-z]+=(?:\d+|"[^"]*"))*)/g);
  return new Map(
    [...found].flatMap(([, name, rest]) => {
      const value = new RegExp(`;${parameter}=(\\d+)`).exec(rest!)?.[1];
      return value === undefined ? [] : [[name!, Number(value)] as const];
    }),
  );
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { at: { type: 'string', default: 'http://localhost:8080' } },
});
const [apiKey, vin, file] = positionals;
if (apiKey === undefined || vin === undefined || file === undefined) {
  console.error('Usage: node examples/back-off.ts <API key> <VIN> <file with one JSON document per line>');
  process.exit(2);
}

async function call(path: string, headers: Record<string, string>, body?: string): Promise<Answer> {
  const answer = await fetch(new URL(path, values.at), {
    method: 'POST',
    headers,
    ...(body !== undefined && { body }),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer['body'] };
}
const say = (text: string) => console.error(text);

// One token for all of it: keys may be traded ten times in five minutes, and a token is good for `expiresIn` seconds.
const traded = await sendPatiently(() => call('/api/v1/partners/authenticate', { 'x-api-key': apiKey }), say);
if (traded.status !== 200) throw new Error(`authenticate: ${traded.body.detail}`);
const { accessToken } = traded.body as { accessToken: string };

for (const line of readFileSync(file, 'utf8').split('\n')) {
  if (line.trim() === '') continue;
  // The same for every attempt, so that a payload counts once however often it had to be sent.
  const headers = {
    authorization: `Bearer ${accessToken}`,
    'content-type': 'application/json',
    'idempotency-key': crypto.randomUUID(),
  };
  const answer = await sendPatiently(() => call(`/api/v1/telemetry/intake/${vin}`, headers, line), say);
  if (answer.status !== 202) throw new Error(`${answer.status} ${answer.body.code}: ${answer.body.detail}`);
  console.log(`accepted ${answer.body.receiptId}`);
  const waitMs = paceMs(answer.headers);
  if (waitMs > 0) await delay(waitMs);
}
