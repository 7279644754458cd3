/**
 * Cursor paging as OpenAI's lists have it: so many entries after one whose id is given.
 *
 * @module
 */

/** Which part of a list is asked for. */
export interface PageRequest {
  /** The id of the entry before the page; `undefined`: from the beginning. */
  readonly after?: string | undefined;
  /** Most entries: a whole number from 1. */
  readonly limit: number;
  /** Oldest first, or newest first. */
  readonly order: "asc" | "desc";
}

/** Part of a list. */
export interface Page<Entry> {
  readonly data: Entry[];
  readonly hasMore: boolean;
}

/** How SQL reads a page. */
export interface Seek {
  /** What follows `WHERE … AND`, with two `?`: the place to start behind, and the limit. */
  readonly sql: string;
  /** The place to start behind of a page without `after`. */
  readonly start: number;
  /** The limit: one entry more than was asked for, to see whether there is one. */
  readonly limit: number;
}

/**
 * How SQL reads a page of rows that are in the order of `column` (whole numbers).
 *
 * @throws {RangeError} if the limit is no whole number from 1
 */
export function seek(column: string, { limit, order }: PageRequest): Seek {
  if (!(Number.isSafeInteger(limit) && limit >= 1)) {
    throw new RangeError(`Cannot list ${limit} entries: give 1 or more`);
  }
  const [compare, start] = order === "asc"
    ? [">", -1]
    : ["<", Number.MAX_SAFE_INTEGER];
  return {
    sql: `${column} ${compare} ? ORDER BY ${column} ${order} LIMIT ?`,
    start,
    limit: limit + 1,
  };
}

/** The page of what {@linkcode seek}'s SQL gave. */
export function pageOf<Entry>(
  entries: Entry[],
  { limit }: PageRequest,
): Page<Entry> {
  return { data: entries.slice(0, limit), hasMore: entries.length > limit };
}
