import { isUtf8 } from 'node:buffer';
import secureJson from 'secure-json-parse';
import { Fault } from './fault.ts';

/**
 * Parses a partner's bytes as JSON. Intake and the mapper both use this function, so the mapper can read everything that
 * intake accepts. A byte order mark before the JSON is ignored (RFC 8259 8.1). Promise: the result was valid UTF-8 and JSON
 * (RFC 8259), is at most `JSON_DEPTH_MAX` levels deep, has no key that changes a prototype, and can be stored as text: no
 * NUL, no lone surrogate, no number beyond double precision. Of duplicate keys the last one counts (RFC 8259 4 leaves it
 * open). The depth is counted on the bytes before parsing, because parsing a million brackets blocks for 600 ms. Throws a
 * Fault that says what is wrong.
 */
export const JSON_DEPTH_MAX = 64;

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

export function readJson(bytes: Buffer): unknown {
  const hasMark = bytes.subarray(0, 3).equals(BYTE_ORDER_MARK);
  const body = hasMark ? bytes.subarray(3) : bytes;
  if (body.length === 0) throw new Fault('empty-body', 'The body is empty. Send the telemetry as a JSON document.');
  if (!isUtf8(body))
    throw new Fault('malformed-encoding', 'The body is not valid UTF-8. JSON is always UTF-8 (RFC 8259 8.1).');
  refuseDepth(body);
  const text = body.toString('utf8');
  const value = parse(text);
  if (SUSPICIOUS.test(text) || hasLongNumber(text)) refuseUnstorable(value, '');
  return value;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = [0x5b, 0x7b];
const CLOSING = [0x5d, 0x7d];
/** What a byte of JSON opens or closes: 1 a text, 2 opens a level, 3 closes one, 0 (nearly all bytes) nothing. */
const KIND = new Uint8Array(256);
KIND[QUOTE] = 1;
for (const byte of OPENING) KIND[byte] = 2;
for (const byte of CLOSING) KIND[byte] = 3;

function refuseDepth(body: Buffer): void {
  // Most bodies have fewer opening brackets than that, and counting them is several times cheaper than reading every byte.
  if (OPENING.reduce((count, byte) => count + countUpTo(JSON_DEPTH_MAX + 1, byte, body), 0) <= JSON_DEPTH_MAX) return;
  let depth = 0;
  for (let place = 0; place < body.length; place++) {
    const kind = KIND[body[place]!]!;
    if (kind === 0) continue;
    if (kind === 1) place = endOfText(body, place);
    else if (kind === 3) depth -= 1;
    else if (++depth > JSON_DEPTH_MAX) {
      throw new Fault(
        'too-deep',
        `The JSON is nested more than ${JSON_DEPTH_MAX} levels deep at byte ${place}. Flatten it.`,
      );
    }
  }
}

/** The index of the closing quote of the text that begins at `start`; the length of the body or more if there is none. */
function endOfText(body: Buffer, start: number): number {
  let place = start + 1;
  while (place < body.length && body[place] !== QUOTE) place += body[place] === BACKSLASH ? 2 : 1;
  return place;
}

function countUpTo(most: number, byte: number, body: Buffer): number {
  let count = 0;
  for (let place = body.indexOf(byte); place !== -1 && count < most; place = body.indexOf(byte, place + 1)) count += 1;
  return count;
}

function parse(text: string): unknown {
  try {
    return secureJson.parse(text, { protoAction: 'error', constructorAction: 'error' });
  } catch (error) {
    if (error instanceof SyntaxError && error.message.includes('forbidden prototype property')) {
      throw new Fault(
        'forbidden-json-key',
        'The keys `__proto__` and `constructor` with a `prototype` are not accepted. Rename them.',
        { cause: error },
      );
    }
    throw new Fault('malformed-json', `The body is not valid JSON: ${(error as Error).message}.`, { cause: error });
  }
}

/** Matches everything that could be an escaped NUL or surrogate, or a number with a large exponent. */
const SUSPICIOUS = /\\u0000|\\u[dD][89a-fA-F]|[eE]\+?\d{3}/;
/** A number with fewer digits is below 1e308, even with an exponent of two digits. */
const LONG_DIGITS = 200;

/** Looks at every `LONG_DIGITS`-th character only: a row of that many digits covers at least one of them. */
function hasLongNumber(text: string): boolean {
  for (let place = LONG_DIGITS - 1; place < text.length; place += LONG_DIGITS) {
    let start = place;
    let end = place;
    while (isDigit(text, start - 1)) start -= 1;
    while (isDigit(text, end)) end += 1;
    if (end - start >= LONG_DIGITS) return true;
  }
  return false;
}

function isDigit(text: string, place: number): boolean {
  const code = text.charCodeAt(place);
  return code >= 0x30 && code <= 0x39;
}

function refuseUnstorable(value: unknown, pointer: string): void {
  if (typeof value === 'string') refuseText(value, pointer);
  else if (typeof value === 'number') {
    if (!Number.isFinite(value))
      throw unstorable(pointer, 'is a number beyond double precision; send it within +-1.79e308');
  } else if (Array.isArray(value)) {
    for (let place = 0; place < value.length; place++) refuseUnstorable(value[place], `${pointer}/${place}`);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, child] of Object.entries(value)) {
      refuseText(key, pointer);
      refuseUnstorable(child, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
    }
  }
}

function refuseText(text: string, pointer: string): void {
  if (text.includes('\0')) throw unstorable(pointer, 'has a NUL character (\\u0000); remove it');
  if (!text.isWellFormed()) throw unstorable(pointer, 'has half of a surrogate pair; send the whole character');
}

function unstorable(pointer: string, detail: string): Fault {
  return new Fault('validation-failed', `The value at ${pointer || 'the top'} ${detail}.`, {
    errors: [{ pointer, code: 'unstorable-value', detail }],
  });
}
