/** Lists in pages, as OpenAI's are. @module */
import { z } from "zod";
import type { Page, PageRequest } from "../store/page.ts";
import { parseQuery, whole } from "./query.ts";

/** What may be asked of a list. */
export const pageSchema = z.strictObject({
  after: z.string().optional(),
  limit: whole(1, 100).optional(),
  order: z.enum(["asc", "desc"], "asc or desc").optional(),
});

/**
 * Which page a query asks for: by default the 20 newest entries, newest first.
 *
 * @throws {ApiError} a 400 that names the parameter at fault
 */
export function parsePage(query: Record<string, string>): PageRequest {
  const { after, limit = 20, order = "desc" } = parseQuery(pageSchema, query);
  return { after, limit, order };
}

/** A page for the wire. */
export function wireList<Entry extends { readonly id: string }>(
  { data, hasMore }: Page<Entry>,
) {
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? "",
    last_id: data.at(-1)?.id ?? "",
    has_more: hasMore,
  };
}
