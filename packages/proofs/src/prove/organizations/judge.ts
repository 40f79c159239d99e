import type { Answer } from './http-client.ts';

/**
 * Whether an answer betrays anything. Three questions: does it show a value or a name of somebody else; is it another
 * answer than the one to a thing that does not exist; was somebody let in whom the document does not let in. What the
 * caller itself has sent is no news to it.
 */
export interface Secrets {
  /** Ids, VINs and key beginnings of the other. */
  readonly values: ReadonlySet<string>;
  /** Stands in all of the other's names. */
  readonly markers: readonly string[];
}

const TELLING = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[A-HJ-NPR-Z0-9]{17}\b/g;
const KEY_PREFIX = /"keyPrefix":"([^"]+)"/g;

/** The first thing of the other's that `text` shows, beside what is in `sent`. */
export function findShown(text: string, secrets: Secrets, sent: readonly string[]): string | undefined {
  const rest = without(text, sent);
  const marker = secrets.markers.find((one) => rest.includes(one));
  if (marker !== undefined) return `a name with ${marker}`;
  for (const [value] of rest.matchAll(TELLING)) if (secrets.values.has(value)) return value;
  for (const [, prefix] of rest.matchAll(KEY_PREFIX)) if (secrets.values.has(prefix!)) return prefix;
  return undefined;
}

/** What `foreign` differs in from `twin`, the answer to the same request about what does not exist. */
export function findDifference(
  foreign: { answer: Answer; sent: readonly string[] },
  twin: { answer: Answer; sent: readonly string[] },
): string | undefined {
  return differenceOf(
    { text: comparable(foreign.answer), sent: foreign.sent },
    { text: comparable(twin.answer), sent: twin.sent },
  );
}

/** The same for two texts, which may repeat what was sent. */
export function differenceOf(
  one: { text: string; sent: readonly string[] },
  other: { text: string; sent: readonly string[] },
): string | undefined {
  if (one.text === other.text || without(one.text, one.sent) === without(other.text, other.sent)) return undefined;
  return `${shorten(one.text)} instead of ${shorten(other.text)}`;
}

/** Headers that say something about what was found. */
const HEADERS = [
  'content-type',
  'www-authenticate',
  'retry-after',
  'cache-control',
  'deprecation',
  'idempotency-replayed',
];

/**
 * All of a refusal, byte for byte, but for the id of the request; of a success only what it is, because two successes
 * are about two things.
 */
function comparable({ status, headers, body }: Answer): string {
  const head = HEADERS.map((name) => headers[name] ?? '').join('|');
  if (status < 400) return `${status} ${head} ${headers['set-cookie'] === undefined ? '' : 'a cookie'}`;
  return `${status} ${head} ${body.replaceAll(String(headers['x-request-id']), '<request>')}`;
}

function without(text: string, sent: readonly string[]): string {
  let rest = text;
  for (const value of sent) {
    for (const form of [value, value.toLowerCase(), value.toUpperCase()]) rest = rest.replaceAll(form, '<sent>');
  }
  return rest;
}

function shorten(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
