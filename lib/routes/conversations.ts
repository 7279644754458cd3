/** `/v1/conversations`: threads that clients have a name for, and their items. @module */
import { type Context, Hono } from "hono";
import { type ApiError, notFound, turnUnderWay } from "../openai/errors.ts";
import {
  parseConversationRequest,
  parseConversationUpdate,
  parseItemsRequest,
} from "../openai/conversations_request.ts";
import { newId } from "../openai/ids.ts";
import { parsePage, wireList } from "../openai/lists.ts";
import type { Conversation, Outcome } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { clientOf } from "./client.ts";
import { readJson } from "./json_body.ts";
import type { Parts } from "./parts.ts";

/** The routes under `/v1/conversations`. */
export function conversationRoutes(
  { bodyLimit }: Pick<Parts, "bodyLimit">,
  { conversations, items }: Store,
): Hono {
  const bodyOf = (c: Context) => readJson(c.req.raw, bodyLimit);
  return new Hono()
    .post("/", async (c) => {
      // OpenAI's client sends no body where there is nothing to say.
      const body = c.req.raw.body ? await bodyOf(c) : {};
      const { items: first, metadata } = parseConversationRequest(body);
      const { owner } = clientOf(c);
      const id = newId("conv");
      const conversation = conversations.create(owner, { id, metadata });
      items.add(owner, id, first);
      return c.json(wireConversation(conversation));
    })
    .get("/:id", (c) => {
      const id = c.req.param("id");
      return c.json(found(id, conversations.read(clientOf(c).owner, id)));
    })
    .post("/:id", async (c) => {
      const id = c.req.param("id");
      const { metadata } = parseConversationUpdate(await bodyOf(c));
      const { owner } = clientOf(c);
      return c.json(found(id, conversations.update(owner, id, metadata)));
    })
    .delete("/:id", async (c) => {
      const id = c.req.param("id");
      requireDone(await conversations.delete(clientOf(c).owner, id), id);
      return c.json({ id, object: "conversation.deleted", deleted: true });
    })
    .get("/:id/items", (c) => {
      const id = c.req.param("id");
      const page = items.list(clientOf(c).owner, id, parsePage(c.req.query()));
      if (!page) throw notFound("conversation (or item in it)", id);
      return c.json(wireList(page));
    })
    .post("/:id/items", async (c) => {
      const id = c.req.param("id");
      const data = parseItemsRequest(await bodyOf(c));
      requireDone(items.add(clientOf(c).owner, id, data), id);
      return c.json(wireList({ data, hasMore: false }));
    })
    .get("/:id/items/:item", (c) => {
      const { id, item } = c.req.param();
      const read = items.read(clientOf(c).owner, id, item);
      if (!read) throw notFound("item", item);
      return c.json(read);
    })
    .delete("/:id/items/:item", async (c) => {
      const { id, item } = c.req.param();
      const { owner } = clientOf(c);
      const outcome = await items.delete(owner, id, item);
      if (outcome === "missing") throw notFound("item", item);
      requireDone(outcome, id);
      return c.json(found(id, conversations.read(owner, id)));
    });
}

function wireConversation({ id, createdAt, metadata }: Conversation) {
  return { id, object: "conversation", created_at: createdAt, metadata };
}

function found(id: string, conversation: Conversation | null) {
  if (!conversation) throw conversationNotFound(id);
  return wireConversation(conversation);
}

function requireDone(outcome: Outcome, id: string): void {
  if (outcome === "missing") throw conversationNotFound(id);
  if (outcome === "busy") throw turnUnderWay();
}

function conversationNotFound(id: string): ApiError {
  return notFound("conversation", id, { code: "conversation_not_found" });
}
