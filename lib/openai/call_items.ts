/** Calls of tools, and what came of them, as items. @module */
import { z } from "zod";
import type { ToolCall } from "../chat/chat_model.ts";
import type { Item } from "../store/records.ts";
import { text } from "./fields.ts";
import { newId } from "./ids.ts";
import {
  itemFields,
  type ItemStatus,
  type TextPart,
  textSchema,
  textsOf,
  told,
} from "./message_item.ts";
import { callFields } from "./tools.ts";

/** A call that the model asks its client for. */
export interface CallItem extends Item {
  readonly type: "function_call";
  readonly status: ItemStatus;
  /** What its output names it by. */
  readonly call_id: string;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

/** What came of a call. */
export interface CallOutputItem extends Item {
  readonly type: "function_call_output";
  readonly status: ItemStatus;
  readonly call_id: string;
  readonly output: string | readonly TextPart[];
}

const callId = text(1, 256, "a call's id");

/** A call as clients send it. */
export const callSchema = z.strictObject({
  type: z.literal("function_call"),
  call_id: callId,
  ...callFields,
  ...itemFields,
}, "an object with call_id, name and arguments").meta({ id: "SentCall" });

/** What came of a call, as clients send it. */
export const callOutputSchema = z.strictObject({
  type: z.literal("function_call_output"),
  call_id: callId,
  output: textSchema,
  ...itemFields,
}, "an object with call_id and output").meta({ id: "SentCallOutput" });

/** A new item of a call that a client tells of. */
export function toCallItem(
  { call_id, name, arguments: args }: z.infer<typeof callSchema>,
): CallItem {
  return {
    id: newId("fc"),
    type: "function_call",
    status: "completed",
    call_id,
    name,
    arguments: args,
  };
}

/** A new item of what came of a call. */
export function toCallOutputItem(
  { call_id, output }: z.infer<typeof callOutputSchema>,
): CallOutputItem {
  return {
    id: newId("fco"),
    type: "function_call_output",
    status: "completed",
    call_id,
    output: typeof output === "string" ? output : textsOf(output).map(told),
  };
}

/** The item of an answer's call. */
export function answeredCall(
  id: string,
  { id: call_id, name, arguments: args }: ToolCall,
): CallItem {
  return {
    id,
    type: "function_call",
    status: "completed",
    call_id,
    name,
    arguments: JSON.stringify(args),
  };
}

/** What came of a call, in one text. */
export function outputText({ output }: CallOutputItem): string {
  return typeof output === "string"
    ? output
    : output.map(({ text }) => text).join("");
}
