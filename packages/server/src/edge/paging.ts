import { Fault } from '@gladhand/base/fault.ts';
import type { Static } from 'typebox';
import { Type } from 'typebox';

/** Paging as every list has it: `take` and `next` in, `{data, next}` out. */
export const TAKE_MAX = 500;
export const TAKE_DEFAULT = 50;

export const PageQuery = Type.Object(
  {
    take: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: TAKE_MAX,
        default: TAKE_DEFAULT,
        description: `How many items at most, 1 to ${TAKE_MAX}.`,
      }),
    ),
    next: Type.Optional(
      Type.String({ minLength: 1, maxLength: 512, description: 'The `next` of the page before, unchanged.' }),
    ),
  },
  { additionalProperties: false },
);
export type PageQuery = Static<typeof PageQuery>;

export const INSTANT_PATTERN = '^\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?([Zz]|[+-]\\d{2}:\\d{2})$';

/** An instant in a query: RFC 3339 with a zone. */
export const InstantText = Type.String({
  pattern: INSTANT_PATTERN,
  description: 'RFC 3339 instant with a zone, such as 2026-11-20T14:02:58Z (a `+` in a URL is written %2B).',
});

/**
 * A page's answer: the wire JSON of its items is already there, so it is joined, not parsed and built again. `more`:
 * fields that this kind of page has beside `data` and `next`.
 */
export function pageJson(items: string, next: string | null, more: Readonly<Record<string, unknown>> = {}): string {
  return `{"data":[${items}],${JSON.stringify({ next, ...more }).slice(1)}`;
}

/** Reads `from` and `to` of the half-open range [from, to), to the millisecond, within the years 1970 to 9999. */
export function readRange(query: { from?: string; to?: string }): { fromMs: number | null; toMs: number | null } {
  const fromMs = query.from === undefined ? null : instantMs(query.from, 'from');
  const toMs = query.to === undefined ? null : instantMs(query.to, 'to');
  if (fromMs !== null && toMs !== null && fromMs >= toMs) {
    throw new Fault('invalid-range', '`from` must be earlier than `to`; the range is [from, to).', {
      errors: [{ pointer: '/query/from', code: 'invalid-range', detail: 'is not earlier than `to`' }],
    });
  }
  return { fromMs: within(fromMs), toMs: within(toMs) };
}

/** Instants beyond these mean "everything": .NET's DateTime.MinValue is 0001-01-01, PostgreSQL has no year 0. */
const LAST_INSTANT_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

function within(ms: number | null): number | null {
  return ms === null ? null : Math.min(Math.max(ms, 0), LAST_INSTANT_MS);
}

function instantMs(text: string, name: string): number {
  const ms = Date.parse(text.toUpperCase());
  // Date.parse takes 30 February for 2 March, and midnight at the end of a day.
  const day = text.slice(0, 10);
  const dayMs = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(ms) || new Date(dayMs).toISOString().slice(0, 10) !== day || text.slice(11, 13) === '24') {
    throw new Fault('invalid-range', `\`${name}\` is not an instant that exists.`, {
      errors: [{ pointer: `/query/${name}`, code: 'format', detail: 'is not an instant that exists' }],
    });
  }
  // Date.parse drops what is finer than a millisecond; the first millisecond not before the instant is the next one.
  return /\.\d{3}\d*[1-9]/.test(text) ? ms + 1 : ms;
}
