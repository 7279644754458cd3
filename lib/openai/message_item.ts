/** Messages as items of conversations, and of responses' inputs and outputs. @module */
import { z } from "zod";
import type { ChatMessage } from "../chat/chat_model.ts";
import type { Item } from "../store/records.ts";
import { newId } from "./ids.ts";

const ROLES = ["user", "assistant", "system", "developer"] as const;

/** How far an item has come. */
export type ItemStatus = "completed" | "incomplete" | "in_progress";

/** A message as it is kept, and as clients read it. */
export interface MessageItem extends Item {
  readonly type: "message";
  readonly status: ItemStatus;
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

/** What items that were read before have besides: it is welcome as it was. */
export const itemFields = {
  id: z.string("a string").nullish(),
  status: z.enum(
    ["in_progress", "completed", "incomplete"],
    "in_progress, completed or incomplete",
  ).nullish(),
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

/** Text as clients send it. */
export const textSchema = z.union(
  [z.string(), z.array(part).min(1)],
  "a string or a non-empty list of text parts",
);

/** A message as clients send it. */
export const messageSchema = z.strictObject({
  type: z.literal("message").optional(),
  role: z.enum(ROLES, `one of ${ROLES.join(", ")}`),
  content: textSchema,
  ...itemFields,
  phase: z.enum(["commentary", "final_answer"], "commentary or final_answer")
    .nullish(),
}, "an object with role and content").meta({ id: "SentMessage" });

/** A new message. */
export function toMessageItem(
  { role, content }: Pick<
    z.infer<typeof messageSchema>,
    "role" | "content"
  >,
): MessageItem {
  return {
    id: newId("msg"),
    type: "message",
    status: "completed",
    role,
    content: textsOf(content).map((text) =>
      role === "assistant" ? said(text) : told(text)
    ),
  };
}

/** The message of an answer. */
export function answerItem(
  id: string,
  text: string,
  status: ItemStatus,
): MessageItem {
  const content = status === "in_progress" ? [] : [said(text)];
  return { id, type: "message", status, role: "assistant", content };
}

/** What the model has said. */
export function said(text: string): TextPart {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** What the model was told. */
export function told(text: string): TextPart {
  return { type: "input_text", text };
}

/** The texts of what a client sent. */
export function textsOf(sent: z.infer<typeof textSchema>): string[] {
  return typeof sent === "string" ? [sent] : sent.map(({ text }) => text);
}

/** A message as the model takes it; its parts are joined with nothing between. */
export function itemToMessage({ role, content }: MessageItem): ChatMessage {
  return {
    role: role === "developer" ? "system" : role,
    content: content.map(({ text }) => text).join(""),
  };
}
