import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/**
 * Follows LiveFeed and prints every record as one line of JSON; whatever else is said goes to stderr. Comes back with
 * its cursor when the stream ends for a reason that passes, and with a new token when the old one has expired, so that
 * no record is missed and none comes twice.
 *
 *   export GLADHAND_API_KEY=<the API key>
 *   node examples/livefeed.mjs [--at 127.0.0.1:8081] [--rest http://127.0.0.1:8080] [--snapshot] [--cursor <cursor>]
 *        [--fleet <id>]... [--trailer <id or VIN>]... [--signals gps]... [--proto <folder>]
 *
 * Runs on Node.js 20 or newer. Needs nothing of the server's code: only @grpc/grpc-js, @grpc/proto-loader and the two
 * proto files of LiveFeed.
 */
const { values } = parseArgs({
  options: {
    at: { type: 'string', default: '127.0.0.1:8081' },
    rest: { type: 'string', default: 'http://127.0.0.1:8080' },
    snapshot: { type: 'boolean', default: false },
    cursor: { type: 'string', default: '' },
    fleet: { type: 'string', multiple: true, default: [] },
    trailer: { type: 'string', multiple: true, default: [] },
    signals: { type: 'string', multiple: true, default: [] },
    proto: { type: 'string', default: fileURLToPath(new URL('../packages/contract/proto', import.meta.url)) },
  },
});
const { GLADHAND_API_KEY: apiKey } = process.env;
if (!apiKey) {
  console.error('Set GLADHAND_API_KEY to the API key: arguments could be read by everybody on this machine.');
  process.exit(2);
}

/**
 * @typedef {object} Message
 * @property {string} [cursor]
 * @property {{ records: object[] }} [records]
 * @property {{ assets?: object[] }} [snapshot]
 * @property {{ reason: string }} [gap]
 * @property {object} [heartbeat]
 */

const definition = loadSync('gladhand/livefeed/v1/livefeed.proto', {
  includeDirs: [values.proto],
  longs: Number,
});
const service = /** @type {import('@grpc/proto-loader').ServiceDefinition} */ (
  definition['gladhand.livefeed.v1.LiveFeed']
);
const { path, requestSerialize, responseDeserialize } =
  /** @type {import('@grpc/grpc-js').MethodDefinition<object, Message>} */ (service['Subscribe']);
const client = new Client(values.at, credentials.createInsecure());

let { cursor } = values;
/** An access token, once there is one; `hasWorked` from its first message on. */
let token = '';
let hasWorked = false;

/** Trades the key for a token. A key that is refused ends the program: asking again would change nothing. */
async function authenticate() {
  for (;;) {
    const answer = await fetch(new URL('/api/v1/customers/authenticate', values.rest), {
      method: 'POST',
      headers: { 'x-api-key': /** @type {string} */ (apiKey) },
    }).catch((/** @type {Error} */ error) => error);
    if (!(answer instanceof Error)) {
      const body = /** @type {Record<string, string>} */ (await answer.json());
      if (answer.ok) return body['accessToken'] ?? '';
      console.error(`authenticate: ${answer.status} ${body.code}: ${body.detail}`);
      if (answer.status !== 429 && answer.status < 500) process.exit(1);
      await delay(1_000 * Number(answer.headers.get('retry-after') ?? 1));
    } else {
      console.error(`authenticate: ${answer.message}`);
      await delay(500 + Math.random() * 1_000);
    }
  }
}

async function follow() {
  if (token === '') token = await authenticate();
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const filter = { fleets: values.fleet, trailers: values.trailer, signals: values.signals };
  const request = { filter, cursor, snapshot: values.snapshot && cursor === '' };
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata);
  stream.on('data', (/** @type {Message} */ message) => {
    hasWorked = true;
    for (const record of message.records?.records ?? []) console.log(toJson(record));
    for (const asset of message.snapshot?.assets ?? []) console.log(toJson(asset));
    if (message.gap) console.error(`gap: ${message.gap.reason}`);
    if (message.heartbeat) console.error(`alive, cursor ${message.cursor}`);
    // Only now: what is before the cursor has been dealt with.
    if (message.cursor) cursor = message.cursor;
  });
  stream.on('error', (/** @type {import('@grpc/grpc-js').ServiceError} */ error) => {
    console.error(`${status[error.code]}: ${error.details}`);
    const hasExpired = error.code === status.UNAUTHENTICATED && hasWorked;
    if (hasExpired) [token, hasWorked] = ['', false];
    const passes = error.code === status.UNAVAILABLE || error.code === status.RESOURCE_EXHAUSTED;
    if (hasExpired || passes) setTimeout(() => void follow(), 500 + Math.random() * 1_000);
    else process.exitCode = 1;
  });
}

/**
 * Instants as RFC 3339 text, and the values of a snapshot as what they are.
 *
 * @param {object} value
 */
function toJson(value) {
  return JSON.stringify(value, (_, found) => {
    if (typeof found?.seconds === 'number')
      return new Date(found.seconds * 1_000 + (found.nanos ?? 0) / 1e6).toISOString();
    if (found !== null && typeof found === 'object' && 'recordId' in found) {
      const { numberValue, stringValue, boolValue } = found.value;
      return { ...found, value: numberValue ?? stringValue ?? boolValue ?? null };
    }
    return found;
  });
}

// Whoever reads this output, `head` for one, may have seen enough.
process.stdout.on('error', () => process.exit(0));
process.once('SIGINT', () => {
  console.error(`\nTo continue from here: --cursor ${cursor}`);
  process.exit(0);
});
await follow();
