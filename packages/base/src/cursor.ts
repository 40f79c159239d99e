import { createHmac, timingSafeEqual } from 'node:crypto';
import { Fault } from './fault.ts';

/**
 * Cursors are opaque, signed and versioned, and bound to one organization and one query. Promise: `open` accepts what `seal`
 * made for the same organization and query, on every node with the same installation secret, without expiry. It throws
 * `invalid-cursor` for a cursor that was cut, altered, or made for another query or organization. The error does not say
 * which of these it was. The signature is HMAC-SHA-256 truncated to 128 bits.
 */
export interface Cursors {
  seal(binding: CursorBinding, fields: readonly (string | number)[]): string;
  open(binding: CursorBinding, text: string): readonly (string | number)[];
}

export interface CursorBinding {
  readonly organizationId: string;
  /** Names the query and every parameter that must stay the same from page to page. */
  readonly query: string;
}

/** What the cursor of the page before says, or null when this is the first page. Throws `invalid-cursor`. */
export function openNext(
  cursors: Cursors,
  binding: CursorBinding,
  next: string | undefined,
): readonly (string | number)[] | null {
  return next === undefined ? null : cursors.open(binding, next);
}

const VERSION = 1;
const SIGNATURE_BYTES = 16;
const CURSOR_CHARS_MAX = 512;

export function createCursors(key: Buffer): Cursors {
  const sign = (binding: CursorBinding, payload: Buffer) =>
    createHmac('sha256', key)
      .update(`${VERSION}\n${binding.organizationId}\n${binding.query}\n`)
      .update(payload)
      .digest()
      .subarray(0, SIGNATURE_BYTES);
  return {
    seal(binding, fields) {
      const payload = Buffer.from(JSON.stringify(fields));
      return Buffer.concat([Buffer.of(VERSION), sign(binding, payload), payload]).toString('base64url');
    },
    open(binding, text) {
      const bytes = text.length > CURSOR_CHARS_MAX ? Buffer.alloc(0) : Buffer.from(text, 'base64url');
      const payload = bytes.subarray(1 + SIGNATURE_BYTES);
      // The decoder is lenient: several texts give the same bytes. Only the text that `seal` made is accepted.
      const isWhole = payload.length > 0 && bytes[0] === VERSION && bytes.toString('base64url') === text;
      if (!isWhole || !timingSafeEqual(bytes.subarray(1, 1 + SIGNATURE_BYTES), sign(binding, payload))) {
        throw new Fault(
          'invalid-cursor',
          'This cursor was not handed out for this query. Use `next` exactly as the previous page gave it, with the same parameters, or leave it out to start from the beginning.',
          { errors: [{ pointer: '/query/next', code: 'invalid-cursor', detail: 'not a cursor of this query' }] },
        );
      }
      return JSON.parse(payload.toString()) as (string | number)[];
    },
  };
}
