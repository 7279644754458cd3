/** `/v1/conversations`: threads that clients have a name for, and their items. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { type ApiError, notFound, turnUnderWay } from "../openai/errors.ts";
import {
  conversationRequestSchema,
  conversationUpdateSchema,
  itemsRequestSchema,
  parseConversationRequest,
  parseConversationUpdate,
  parseItemsRequest,
} from "../openai/conversations_request.ts";
import { newId } from "../openai/ids.ts";
import { pageSchema, parsePage, wireList } from "../openai/lists.ts";
import {
  conversationSchema,
  deletedSchema,
  itemListSchema,
  itemSchema,
} from "../openai/response_schemas.ts";
import { addPath } from "../openapi/add_path.ts";
import type { Answer, Operation } from "../openapi/operation.ts";
import type { Conversation, Outcome } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { clientOf } from "./client.ts";
import { readJson, readJsonIfAny } from "./json_body.ts";
import type { Parts } from "./parts.ts";

const path = { id: "The conversation's id." };
const itemPath = { ...path, item: "The item's id." };
const metadata = { topic: "greetings" };
const items = [{ type: "message", role: "user", content: "Hello" }];

const CONVERSATION: Record<number, Answer> = {
  200: {
    description: "The conversation.",
    content: { "application/json": conversationSchema },
  },
};

const ITEMS: Record<number, Answer> = {
  200: {
    description: "Items.",
    content: { "application/json": itemListSchema },
  },
};

const CREATE: Operation = {
  id: "createConversation",
  tag: "Conversations",
  summary: "Begin a conversation",
  body: {
    schema: conversationRequestSchema,
    example: { items, metadata },
    optional: true,
  },
  answers: CONVERSATION,
};

const READ: Operation = {
  id: "getConversation",
  tag: "Conversations",
  summary: "Read a conversation",
  path,
  answers: CONVERSATION,
  errors: [404],
};

const UPDATE: Operation = {
  id: "updateConversation",
  tag: "Conversations",
  summary: "Change a conversation's metadata",
  path,
  body: { schema: conversationUpdateSchema, example: { metadata } },
  answers: CONVERSATION,
  errors: [404],
};

const DELETE: Operation = {
  id: "deleteConversation",
  tag: "Conversations",
  summary: "Erase a conversation, with all that was said in it",
  path,
  answers: {
    200: {
      description: "It is gone.",
      content: { "application/json": deletedSchema("conversation.deleted") },
    },
  },
  errors: [404, 409],
};

const LIST_ITEMS: Operation = {
  id: "listConversationItems",
  tag: "Conversations",
  summary: "List the items of a conversation",
  path,
  query: pageSchema,
  answers: ITEMS,
  errors: [404],
};

const ADD_ITEMS: Operation = {
  id: "addConversationItems",
  tag: "Conversations",
  summary: "Append items to a conversation",
  path,
  body: { schema: itemsRequestSchema, example: { items } },
  answers: ITEMS,
  errors: [404, 409],
};

const READ_ITEM: Operation = {
  id: "getConversationItem",
  tag: "Conversations",
  summary: "Read an item of a conversation",
  path: itemPath,
  answers: {
    200: {
      description: "The item.",
      content: { "application/json": itemSchema },
    },
  },
  errors: [404],
};

const DELETE_ITEM: Operation = {
  id: "deleteConversationItem",
  tag: "Conversations",
  summary: "Erase an item of a conversation",
  path: itemPath,
  answers: CONVERSATION,
  errors: [404, 409],
};

/** The routes under `/v1/conversations`. */
export function conversationRoutes(
  { bodyLimit }: Pick<Parts, "bodyLimit">,
  { conversations, items }: Store,
): OpenAPIHono {
  const bodyOf = (c: Context) => readJson(c.req.raw, bodyLimit);
  const app = new OpenAPIHono();
  addPath(app, "/", {
    post: [CREATE, async (c) => {
      // OpenAI's client sends no body where there is nothing to say.
      const body = await readJsonIfAny(c.req.raw, bodyLimit);
      const { items: first, metadata } = parseConversationRequest(body);
      const { owner } = clientOf(c);
      const id = newId("conv");
      const conversation = conversations.create(owner, { id, metadata });
      items.add(owner, id, first);
      return c.json(wireConversation(conversation));
    }],
  });
  addPath(app, "/:id", {
    get: [READ, (c) => {
      const id = c.req.param("id");
      return c.json(found(id, conversations.read(clientOf(c).owner, id)));
    }],
    post: [UPDATE, async (c) => {
      const id = c.req.param("id");
      const { metadata } = parseConversationUpdate(await bodyOf(c));
      const { owner } = clientOf(c);
      return c.json(found(id, conversations.update(owner, id, metadata)));
    }],
    delete: [DELETE, async (c) => {
      const id = c.req.param("id");
      requireDone(await conversations.delete(clientOf(c).owner, id), id);
      return c.json({ id, object: "conversation.deleted", deleted: true });
    }],
  });
  addPath(app, "/:id/items", {
    get: [LIST_ITEMS, (c) => {
      const id = c.req.param("id");
      const page = items.list(clientOf(c).owner, id, parsePage(c.req.query()));
      if (!page) throw notFound("conversation (or item in it)", id);
      return c.json(wireList(page));
    }],
    post: [ADD_ITEMS, async (c) => {
      const id = c.req.param("id");
      const data = parseItemsRequest(await bodyOf(c));
      requireDone(items.add(clientOf(c).owner, id, data), id);
      return c.json(wireList({ data, hasMore: false }));
    }],
  });
  addPath(app, "/:id/items/:item", {
    get: [READ_ITEM, (c) => {
      const { id, item } = c.req.param();
      const read = items.read(clientOf(c).owner, id, item);
      if (!read) throw notFound("item", item);
      return c.json(read);
    }],
    delete: [DELETE_ITEM, async (c) => {
      const { id, item } = c.req.param();
      const { owner } = clientOf(c);
      const outcome = await items.delete(owner, id, item);
      if (outcome === "missing") throw notFound("item", item);
      requireDone(outcome, id);
      return c.json(found(id, conversations.read(owner, id)));
    }],
  });
  return app;
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
