/** The bodies of requests about conversations and their items. @module */
import { z } from "zod";
import { metadataSchema } from "./fields.ts";
import { issuesToError } from "./issues.ts";
import { itemsSchema, type KnownItem, toItems } from "./items.ts";

const ITEMS = "a list of 1 to 20 items";

const createSchema = z.strictObject({
  items: itemsSchema.refine(({ length }) => length <= 20, ITEMS).nullish(),
  metadata: metadataSchema.nullish(),
}, "a JSON object");

const updateSchema = z.strictObject(
  { metadata: metadataSchema.nullable() },
  "a JSON object",
);

const itemsRequestSchema = z.strictObject({
  items: itemsSchema.refine(
    ({ length }) => length >= 1 && length <= 20,
    ITEMS,
  ),
}, "a JSON object");

/** What a conversation begins with. */
export function parseConversationRequest(
  body: unknown,
): { items: KnownItem[]; metadata: Record<string, string> } {
  const { items, metadata } = parse(createSchema, body);
  return { items: toItems(items ?? []), metadata: metadata ?? {} };
}

/** A conversation's new metadata. */
export function parseConversationUpdate(
  body: unknown,
): { metadata: Record<string, string> } {
  return { metadata: parse(updateSchema, body).metadata ?? {} };
}

/** Items to be appended. */
export function parseItemsRequest(body: unknown): KnownItem[] {
  return toItems(parse(itemsRequestSchema, body).items);
}

/** @throws {ApiError} a 400 that names the parameter at fault */
function parse<Output>(schema: z.ZodType<Output>, body: unknown): Output {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw issuesToError(result.error.issues, { body, unsupported: new Set() });
}
