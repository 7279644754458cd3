/** Items of conversations and of responses' inputs: messages, which are all that this server has. @module */
import { z } from "zod";
import type { ChatMessage } from "../chat/chat_model.ts";
import type { Item } from "../store/records.ts";
import { newId } from "./ids.ts";

const ROLES = ["user", "assistant", "system", "developer"] as const;

/** A message as it is kept, and as clients read it. */
export interface MessageItem extends Item {
  readonly type: "message";
  readonly status: "completed" | "incomplete" | "in_progress";
  readonly role: typeof ROLES[number];
  readonly content: readonly TextPart[];
}

/** Text of a message: what was said to the model, or by it. */
export type TextPart =
  | { readonly type: "input_text"; readonly text: string }
  | {
    readonly type: "output_text";
    readonly text: string;
    readonly annotations: readonly [];
    readonly logprobs: readonly [];
  };

const part = z.strictObject({
  type: z.enum(
    ["input_text", "output_text"],
    '"input_text" or "output_text": this server reads no images, audio or files',
  ),
  text: z.string("a string"),
  annotations: z.array(z.unknown()).nullish(),
  logprobs: z.array(z.unknown()).nullish(),
}, "an object with type and text");

/** A message as clients send it: what they got before is welcome as it was. */
const message = z.strictObject({
  type: z.literal(
    "message",
    '"message": this server has no other items',
  ).optional(),
  role: z.enum(ROLES, `one of ${ROLES.join(", ")}`),
  content: z.union(
    [z.string(), z.array(part).min(1)],
    "a string or a non-empty list of text parts",
  ),
  id: z.string("a string").nullish(),
  status: z.enum(
    ["in_progress", "completed", "incomplete"],
    "in_progress, completed or incomplete",
  ).nullish(),
  phase: z.enum(["commentary", "final_answer"], "commentary or final_answer")
    .nullish(),
}, "an object with role and content").meta({ id: "SentItem" });

/** What a list of items may be. */
export const itemsSchema: z.ZodArray<typeof message> = z.array(
  message,
  "a list of messages",
);

/** What `input` may be. */
export const inputSchema = z.union(
  [z.string(), itemsSchema],
  "a string or a list of messages",
);

/** New items, each with an id of its own. */
export function toItems(
  input: z.infer<typeof inputSchema> | undefined,
): MessageItem[] {
  if (input === undefined) return [];
  if (typeof input === "string") {
    return [messageItem("user", [told(input)])];
  }
  return input.map(({ role, content }) => {
    const texts = typeof content === "string"
      ? [content]
      : content.map(({ text }) => text);
    return messageItem(
      role,
      texts.map((text) => role === "assistant" ? said(text) : told(text)),
    );
  });
}

/** The message of an answer. */
export function answerItem(
  id: string,
  text: string,
  status: MessageItem["status"],
): MessageItem {
  const content = status === "in_progress" ? [] : [said(text)];
  return { id, type: "message", status, role: "assistant", content };
}

/** What the model has said. */
export function said(text: string): TextPart {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** An item as the model takes it; its parts are joined with nothing between. */
export function itemToMessage(item: Item): ChatMessage {
  const { role, content } = item as MessageItem;
  return {
    role: role === "developer" ? "system" : role,
    content: content.map(({ text }) => text).join(""),
  };
}

function told(text: string): TextPart {
  return { type: "input_text", text };
}

function messageItem(
  role: MessageItem["role"],
  content: TextPart[],
): MessageItem {
  const id = newId("msg");
  return { id, type: "message", status: "completed", role, content };
}
