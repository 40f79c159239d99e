import { cutPage, type Page } from '@gladhand/base/page.ts';

/**
 * Pages whose cost is bounded whatever their filter. A filter that no index answers is applied to the first
 * `EXAMINED_ROWS_MAX` rows in the order of the walk, and the page ends there even if few of them pass, or none. The
 * statement numbers the rows it examines, gives those that pass, at most one more than asked for, and gives the last
 * one it may examine in any case, so that the next page can start after it:
 *
 *   select ... from (
 *     select ..., <filter> as passes, row_number() over (order by <key>) as n
 *     from ... where <what the index answers> order by <key> limit <examined>
 *   ) where passes or n = <examined> order by <key> limit <take + 1>
 *
 * It reads on only until it has `take + 1` rows. Assumes that rows come in the order of an index (`walk` of
 * database/database.ts).
 */

/**
 * From memory, 10,000 records take some 25 ms to examine, little more than a full page of 500 takes to answer. From disk
 * they are 5 to 10 MB that lie together. To walk 5 million records of which none passes takes 500 requests, which is 5 s
 * of what the standard plan allows.
 */
export const EXAMINED_ROWS_MAX = 10_000;

export interface ExaminedRow {
  readonly passes: boolean;
  /** It is the last one that the statement was allowed to examine. */
  readonly isLast: boolean;
}

/** `examined`: what the statement gave, in its order. */
export function toBoundedPage<Row extends ExaminedRow>(examined: readonly Row[], take: number): Page<Row> {
  const passing = examined.filter((row) => row.passes);
  const page = cutPage(passing, take);
  const end = examined.at(-1);
  return page.last === null && end?.isLast ? { rows: passing, last: end } : page;
}
