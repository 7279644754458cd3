/** Items of conversations and of responses: messages, calls of tools, and what came of those. @module */
import { z } from "zod";
import type { ChatMessage } from "../chat/chat_model.ts";
import type { Item } from "../store/records.ts";
import {
  type CallItem,
  type CallOutputItem,
  callOutputSchema,
  callSchema,
  outputText,
  toCallItem,
  toCallOutputItem,
} from "./call_items.ts";
import {
  itemToMessage,
  type MessageItem,
  messageSchema,
  toMessageItem,
} from "./message_item.ts";
import { toToolCall } from "./tools.ts";

/** An item as it is kept, and as clients read it. */
export type KnownItem = MessageItem | CallItem | CallOutputItem;

/** What an answer is made of. */
export type OutputItem = MessageItem | CallItem;

const item = z.discriminatedUnion("type", [
  messageSchema,
  callSchema,
  callOutputSchema,
], {
  error: ({ code }) =>
    code === "invalid_union"
      ? '"message", "function_call" or "function_call_output": this server has no other items'
      : "an object with role and content, or with type",
});

/** What a list of items may be. */
export const itemsSchema = z.array(item, "a list of items");

/** What `input` may be. */
export const inputSchema = z.union(
  [z.string(), itemsSchema],
  "a string or a list of items",
);

/** New items, each with an id of its own. */
export function toItems(
  input: z.infer<typeof inputSchema> | undefined,
): KnownItem[] {
  if (input === undefined) return [];
  if (typeof input === "string") {
    return [toMessageItem({ role: "user", content: input })];
  }
  return input.map((sent) => {
    switch (sent.type) {
      case "function_call":
        return toCallItem(sent);
      case "function_call_output":
        return toCallOutputItem(sent);
      default:
        return toMessageItem(sent);
    }
  });
}

/** Items as the model takes them: calls are part of what the assistant said right before them. */
export function itemsToMessages(items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const item of items as readonly KnownItem[]) {
    switch (item.type) {
      case "function_call": {
        const call = toToolCall(item.call_id, item);
        const last = messages.at(-1);
        if (last?.role === "assistant") {
          last.toolCalls = [...last.toolCalls ?? [], call];
        } else {
          messages.push({ role: "assistant", content: "", toolCalls: [call] });
        }
        break;
      }
      case "function_call_output":
        messages.push({
          role: "tool",
          content: outputText(item),
          toolCallId: item.call_id,
        });
        break;
      default:
        messages.push(itemToMessage(item));
    }
  }
  return messages;
}
