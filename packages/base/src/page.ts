/**
 * A page of any list. The caller reads one row more than it shows. That row tells whether there is a next page, so no query
 * counts rows and no last page is empty.
 */
export interface Page<Row> {
  readonly rows: readonly Row[];
  /** The row after which the next page starts; null: this is the last page. */
  readonly last: Row | null;
}

/** `rows` are the next `take + 1` rows or fewer, in the order of the list. */
export function cutPage<Row>(rows: readonly Row[], take: number): Page<Row> {
  return rows.length > take ? { rows: rows.slice(0, take), last: rows[take - 1]! } : { rows, last: null };
}

/** Which page of a list in the order of ids. */
export interface Walk {
  /** The `afterId` of the previous page; null: the first page. */
  readonly afterId: string | null;
  readonly take: number;
}

export interface Listed<Item> {
  readonly items: readonly Item[];
  /** The `afterId` of the next page; null: this is the last page. */
  readonly afterId: string | null;
}

/** A page in the order of ids, which is the order of creation. `read` returns rows with an id greater than `afterId`. */
export async function listById<Item extends { readonly id: string }>(
  walk: Walk,
  read: (walk: Walk) => Promise<readonly Item[]>,
): Promise<Listed<Item>> {
  const { rows, last } = cutPage(await read({ afterId: walk.afterId, take: walk.take + 1 }), walk.take);
  return { items: rows, afterId: last?.id ?? null };
}
