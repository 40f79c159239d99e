/**
 * The pages of all lists. One row more than asked for tells whether there is a next page, so that nobody counts and no
 * last page is empty.
 */
export interface Page<Row> {
  readonly rows: readonly Row[];
  /** The row after which the next page starts; null: there is none. */
  readonly last: Row | null;
}

/** `rows`: at most `take + 1` of them, in the order of the list. */
export function cutPage<Row>(rows: readonly Row[], take: number): Page<Row> {
  return rows.length > take ? { rows: rows.slice(0, take), last: rows[take - 1]! } : { rows, last: null };
}

/** Where a walk by id is. */
export interface Walk {
  /** The `afterId` of the page before; null: from the beginning. */
  readonly afterId: string | null;
  readonly take: number;
}

export interface Listed<Item> {
  readonly items: readonly Item[];
  /** Where the next page starts; null: there is none. */
  readonly afterId: string | null;
}

/** A page in the order of ids, which is that of creation. `read` gives rows with an id above `afterId`. */
export async function listById<Item extends { readonly id: string }>(
  walk: Walk,
  read: (walk: Walk) => Promise<readonly Item[]>,
): Promise<Listed<Item>> {
  const { rows, last } = cutPage(await read({ afterId: walk.afterId, take: walk.take + 1 }), walk.take);
  return { items: rows, afterId: last?.id ?? null };
}
