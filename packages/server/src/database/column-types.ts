import pg from 'pg';

/**
 * How PostgreSQL's values become ours: `bigint` a number (and a thrown RangeError beyond 2^53, never a rounded one),
 * `timestamptz` a Date, `date` a Date at UTC midnight, `bigint[]` numbers. Everything else as `pg` does it.
 */
export const columnTypes: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary') {
      const own = PARSERS.get(oid);
      if (own !== undefined) return own;
    }
    return pg.types.getTypeParser(oid as never, format as never);
  },
};

const { INT8, TIMESTAMPTZ, DATE } = pg.types.builtins;
const INT8_ARRAY = 1016;

// An instant as PostgreSQL prints it under TimeZone=UTC and DateStyle=ISO; all others take the driver's slower path.
const UTC_INSTANT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/;

const parseAnyInstant = pg.types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;
const parseTextArray = pg.types.getTypeParser(1009 as never) as (text: string) => (string | null)[];

const PARSERS = new Map<number, (text: string) => unknown>([
  [INT8, parseInteger],
  [INT8_ARRAY, (text) => parseTextArray(text).map((item) => (item === null ? null : parseInteger(item)))],
  [
    TIMESTAMPTZ,
    (text) => (UTC_INSTANT.test(text) ? new Date(`${text.slice(0, 10)}T${text.slice(11)}:00`) : parseAnyInstant(text)),
  ],
  [DATE, (text) => new Date(`${text}T00:00:00Z`)],
]);

function parseInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`The database holds ${text}, beyond 2^53`);
  return value;
}
