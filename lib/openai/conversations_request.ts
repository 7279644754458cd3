/** The bodies of requests about conversations and their items. @module */
import { z } from "zod";
import { metadataSchema } from "./fields.ts";
import { issuesToError } from "./issues.ts";
import { itemsSchema, type KnownItem, toItems } from "./items.ts";

const ITEMS = "a list of 1 to 20 items";

const MOST_ITEMS = 20;

/** What a conversation may begin with. */
export const conversationRequestSchema = z.strictObject({
  items: itemsSchema.max(MOST_ITEMS, ITEMS).nullish(),
  metadata: metadataSchema.nullish(),
}, "a JSON object").meta({ id: "ConversationRequest" });

/** What of a conversation may be changed. */
export const conversationUpdateSchema = z.strictObject(
  { metadata: metadataSchema.nullable() },
  "a JSON object",
).meta({ id: "ConversationUpdate" });

/** What may be appended. */
export const itemsRequestSchema = z.strictObject({
  items: itemsSchema.min(1, ITEMS).max(MOST_ITEMS, ITEMS),
}, "a JSON object").meta({ id: "ItemsRequest" });

/** What a conversation begins with; nothing, if there is no body. */
export function parseConversationRequest(
  body: unknown = {},
): { items: KnownItem[]; metadata: Record<string, string> } {
  const { items, metadata } = parse(conversationRequestSchema, body);
  return { items: toItems(items ?? []), metadata: metadata ?? {} };
}

/** A conversation's new metadata. */
export function parseConversationUpdate(
  body: unknown,
): { metadata: Record<string, string> } {
  return { metadata: parse(conversationUpdateSchema, body).metadata ?? {} };
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
