import { parseArgs } from 'node:util';
import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/**
 * Follows LiveFeed and prints every record as one line of JSON; whatever else is said goes to stderr. Comes back with
 * its cursor when the stream ends for a reason that passes, so that no record is missed and none comes twice.
 *
 *   node examples/livefeed.ts <access token> [--at localhost:8081] [--snapshot] [--cursor <cursor>]
 *        [--fleet <id>]... [--trailer <id or VIN>]... [--signals gps]... [--proto <folder>]
 *
 * Needs nothing of the server's code: only @grpc/grpc-js, @grpc/proto-loader, and the two proto files of LiveFeed.
 */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    at: { type: 'string', default: 'localhost:8081' },
    snapshot: { type: 'boolean', default: false },
    cursor: { type: 'string', default: '' },
    fleet: { type: 'string', multiple: true, default: [] },
    trailer: { type: 'string', multiple: true, default: [] },
    signals: { type: 'string', multiple: true, default: [] },
    proto: { type: 'string', default: `${import.meta.dirname}/../packages/contract/proto` },
  },
});
const [token] = positionals;
if (token === undefined) {
  console.error(
    'Usage: node examples/livefeed.ts <access token>\nGet a token from POST /api/v1/customers/authenticate with your API key.',
  );
  process.exit(2);
}

const definition = loadSync('gladhand/livefeed/v1/livefeed.proto', {
  includeDirs: [values.proto],
  longs: Number,
});
const { Subscribe: method } = definition['gladhand.livefeed.v1.LiveFeed'] as unknown as {
  Subscribe: MethodDefinition<object, Message>;
};
const client = new Client(values.at, credentials.createInsecure());
const metadata = new Metadata();
metadata.set('authorization', `Bearer ${token}`);

let { cursor } = values;

interface Message {
  readonly cursor?: string;
  readonly records?: { readonly records: object[] };
  readonly snapshot?: { readonly assets?: object[] };
  readonly gap?: { readonly reason: string };
  readonly heartbeat?: object;
}

function follow(): void {
  const filter = { fleets: values.fleet, trailers: values.trailer, signals: values.signals };
  const request = { filter, cursor, snapshot: values.snapshot && cursor === '' };
  const { path, requestSerialize, responseDeserialize } = method;
  const stream: ClientReadableStream<Message> = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    metadata,
  );
  stream.on('data', (message: Message) => {
    for (const record of message.records?.records ?? []) console.log(toJson(record));
    for (const asset of message.snapshot?.assets ?? []) console.log(toJson(asset));
    if (message.gap) console.error(`gap: ${message.gap.reason}`);
    if (message.heartbeat) console.error(`alive, cursor ${message.cursor}`);
    // Only now: what is before the cursor has been dealt with.
    if (message.cursor) cursor = message.cursor;
  });
  stream.on('error', (error: ServiceError) => {
    console.error(`${status[error.code]}: ${error.details}`);
    const passes = error.code === status.UNAVAILABLE || error.code === status.RESOURCE_EXHAUSTED;
    if (passes) setTimeout(follow, 500 + Math.random() * 1_000);
    else process.exitCode = 1;
  });
}

/** Instants as RFC 3339 text, and the values of a snapshot as what they are. */
function toJson(value: object): string {
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
follow();
