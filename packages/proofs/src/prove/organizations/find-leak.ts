import type { Answer } from './http-client.ts';

/**
 * Finds leaks in an answer. An answer leaks if it shows a value or name of another organization, or if it differs from the
 * answer for something that does not exist. Values that the caller has sent itself do not count.
 */
export interface Secrets {
  /** Ids, VINs and key prefixes of the other organization. */
  readonly values: ReadonlySet<string>;
  /** Texts that are in all names of the other organization. */
  readonly markers: readonly string[];
}

const TELLING = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[A-HJ-NPR-Z0-9]{17}\b/g;
const KEY_PREFIX = /"keyPrefix":"([^"]+)"/g;

/** The first value or name of the other organization in `text` that is not in `sent`. Undefined if there is none. */
export function findShown(text: string, secrets: Secrets, sent: readonly string[]): string | undefined {
  const rest = without(text, sent);
  const marker = secrets.markers.find((one) => rest.includes(one));
  if (marker !== undefined) return `a name with ${marker}`;
  for (const [value] of rest.matchAll(TELLING)) if (secrets.values.has(value)) return value;
  for (const [, prefix] of rest.matchAll(KEY_PREFIX)) if (secrets.values.has(prefix!)) return prefix;
  return undefined;
}

/** How `foreign` differs from `twin`, the answer to the same request for something that does not exist. */
export function findDifference(
  foreign: { answer: Answer; sent: readonly string[] },
  twin: { answer: Answer; sent: readonly string[] },
): string | undefined {
  return differenceOf(
    { text: comparable(foreign.answer), sent: foreign.sent },
    { text: comparable(twin.answer), sent: twin.sent },
  );
}

/** How two texts differ, apart from the values that were sent. */
export function differenceOf(
  one: { text: string; sent: readonly string[] },
  other: { text: string; sent: readonly string[] },
): string | undefined {
  if (one.text === other.text || without(one.text, one.sent) === without(other.text, other.sent)) return undefined;
  return `${shorten(one.text)} instead of ${shorten(other.text)}`;
}

/** Headers that could show whether something was found. */
const HEADERS = [
  'content-type',
  'www-authenticate',
  'retry-after',
  'cache-control',
  'deprecation',
  'idempotency-replayed',
];

/**
 * The part of an answer that must be equal for both requests. Of a refusal, everything except the request id. Of a success,
 * only its kind, because two successes return different data.
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
