import type { InstantFormat } from './document.ts';
import type { RejectCode } from './mapped-record.ts';

/**
 * The result of reading a partner's timestamp: milliseconds since the epoch, cut and never rounded to the millisecond, or
 * the reason why it is rejected. A timestamp without a time zone is rejected, because a guess could be wrong.
 *
 * - `rfc3339` accepts exactly RFC 3339 5.6.
 * - `iso8601` also accepts an offset without colon or minutes (+0100, +01), no separators (20261120T140258Z), and a comma
 *   before the fraction.
 */
export type InstantResult = { readonly ms: number } | { readonly code: RejectCode; readonly detail: string };

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|([+-])(\d\d):(\d\d))$/;
const EXTENDED =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?([Zz]|([+-])(\d\d)(?::?(\d\d))?)$/;
const BASIC = /^(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{1,9}))?)?([Zz]|([+-])(\d\d)(?::?(\d\d))?)$/;
const WITHOUT_ZONE = /^\d{4}-?\d\d-?\d\d(?:[Tt ]\d\d:?\d\d(?::?\d\d(?:[.,]\d+)?)?)?$/;
/** The end of year 9999. The minimum is 0, because no telematics device is older than 1970. */
const MS_MAX = 253402300799999;

const TEXT_FORMATS = {
  rfc3339: { forms: [RFC3339], name: 'an RFC 3339 timestamp' },
  iso8601: { forms: [EXTENDED, BASIC], name: 'an ISO 8601 timestamp' },
} as const;

/** Reads `value`, which is not null, in the given format. Never throws. */
export function readInstant(value: unknown, format: InstantFormat): InstantResult {
  if (format === 'rfc3339' || format === 'iso8601') {
    if (typeof value !== 'string')
      return { code: 'wrong-type', detail: `expected ${TEXT_FORMATS[format].name}, a string` };
    return readText(value.trim(), format);
  }
  if (typeof value !== 'number') return { code: 'wrong-type', detail: `expected a number (${format})` };
  const ms = epochMs(value, format);
  if (!(ms >= 0 && ms <= MS_MAX))
    return { code: 'timestamp-invalid', detail: `expected ${format} between 1970 and 9999` };
  return { ms };
}

function epochMs(value: number, format: 'epoch-s' | 'epoch-ms' | 'epoch-auto'): number {
  if (format === 'epoch-ms') return Math.floor(value);
  // Adds half a microsecond, because a double is not exact: 1795183378.001 s becomes ...378000.9999 ms.
  if (format === 'epoch-s' || value < 1e11) return Math.floor(value * 1000 + 0.0005);
  if (value < 1e14) return Math.floor(value);
  return value < 1e17 ? Math.floor(value / 1e3) : Math.floor(value / 1e6);
}

function readText(text: string, format: keyof typeof TEXT_FORMATS): InstantResult {
  const { forms, name } = TEXT_FORMATS[format];
  for (const form of forms) {
    const match = form.exec(text);
    if (match !== null) return fromParts(match);
  }
  if (WITHOUT_ZONE.test(text))
    return {
      code: 'timestamp-without-zone',
      detail: 'a timestamp must name its time zone: Z or an offset such as +01:00',
    };
  const onlyIso = format === 'rfc3339' && [EXTENDED, BASIC].some((form) => form.test(text));
  const hint = onlyIso ? '; this is another form of ISO 8601: the format iso8601 in the mapping accepts it' : '';
  return {
    code: 'timestamp-invalid',
    detail: `expected ${name} such as 2026-11-20T14:02:58.120Z or 2026-11-20T15:02:58+01:00${hint}`,
  };
}

function fromParts(match: RegExpExecArray): InstantResult {
  const part = (index: number) => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  const [offsetHour, offsetMinute] = [part(10), part(11)];
  // Second 60 is a leap second. It counts as second 0 of the next minute.
  const dayMax = month >= 1 && month <= 12 ? new Date(Date.UTC(year, month, 0)).getUTCDate() : 0;
  if (day < 1 || day > dayMax || hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) {
    return { code: 'timestamp-invalid', detail: 'expected a date and time that exist' };
  }
  const milliseconds = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const offsetMs = (match[9] === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute) * 60_000;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second, milliseconds) - offsetMs;
  if (!(year >= 1970 && ms >= 0 && ms <= MS_MAX)) {
    return { code: 'timestamp-invalid', detail: 'expected a timestamp between 1970 and 9999' };
  }
  return { ms };
}
