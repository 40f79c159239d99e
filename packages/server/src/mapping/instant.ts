import type { InstantFormat } from './document.ts';
import type { RejectCode } from './mapped-record.ts';

/**
 * Instants as partners write them. The answer is milliseconds since the epoch, cut (never rounded) to the millisecond,
 * or why not. Assumes nothing about zones: a timestamp that does not name one is refused, not guessed.
 */
export type InstantResult = { readonly ms: number } | { readonly code: RejectCode; readonly detail: string };

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|([+-])(\d\d):(\d\d))$/;
const WITHOUT_ZONE = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?$/;
/** Year 9999; nothing that reports telematics is older than the epoch. */
const MS_MAX = 253402300799999;

/** Reads `value` (not null) as `format` says. */
export function readInstant(value: unknown, format: InstantFormat): InstantResult {
  if (format === 'rfc3339') {
    if (typeof value !== 'string') return { code: 'wrong-type', detail: 'expected an RFC 3339 timestamp, a string' };
    return readRfc3339(value);
  }
  if (typeof value !== 'number') return { code: 'wrong-type', detail: `expected a number (${format})` };
  const ms = epochMs(value, format);
  if (!(ms >= 0 && ms <= MS_MAX))
    return { code: 'timestamp-invalid', detail: `expected ${format} between 1970 and 9999` };
  return { ms };
}

function epochMs(value: number, format: Exclude<InstantFormat, 'rfc3339'>): number {
  if (format === 'epoch-ms') return Math.floor(value);
  // The half microsecond makes up for what a double loses: 1795183378.001 s is ...378000.9999 ms.
  if (format === 'epoch-s' || value < 1e11) return Math.floor(value * 1000 + 0.0005);
  if (value < 1e14) return Math.floor(value);
  return value < 1e17 ? Math.floor(value / 1e3) : Math.floor(value / 1e6);
}

function readRfc3339(text: string): InstantResult {
  const match = RFC3339.exec(text);
  if (match === null) {
    return WITHOUT_ZONE.test(text)
      ? { code: 'timestamp-without-zone', detail: 'a timestamp must name its zone: Z or an offset such as +01:00' }
      : { code: 'timestamp-invalid', detail: 'expected an RFC 3339 timestamp, at most nanoseconds' };
  }
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map((index) => Number(match[index])) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetHour = Number(match[10] ?? 0);
  const offsetMinute = Number(match[11] ?? 0);
  // Second 60 is a leap second and counts as the first of the next minute.
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
