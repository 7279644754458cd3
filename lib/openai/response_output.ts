/** What a response's answer is made of, as it comes. @module */
import type { ToolCall } from "../chat/chat_model.ts";
import type { AnswerPart } from "../chat/tool_calls.ts";
import type { StreamEvent } from "../store/records.ts";
import { answeredCall } from "./call_items.ts";
import { newId } from "./ids.ts";
import type { OutputItem } from "./items.ts";
import { answerItem, said } from "./message_item.ts";

/** Makes the next event of a stream. */
export type NewEvent = (
  type: string,
  fields: Record<string, unknown>,
) => StreamEvent;

/** Writes the items of one answer, and the events that tell of them. */
export class OutputWriter {
  readonly #event: NewEvent;
  readonly #items: OutputItem[] = [];
  /** The message that is being written. */
  #message: { id: string; text: string } | null = null;

  constructor(event: NewEvent) {
    this.#event = event;
  }

  /** Those that are complete. */
  get items(): readonly OutputItem[] {
    return this.#items;
  }

  /** The events of a part of the answer. */
  add(part: AnswerPart): StreamEvent[] {
    return "call" in part ? this.#call(part.call) : this.#say(part.text);
  }

  /** The events with which the answer ends; one without anything in it is an empty message. */
  end(status: "completed" | "incomplete"): StreamEvent[] {
    const empty = this.#items.length === 0 && !this.#message;
    return [...empty ? this.#open() : [], ...this.#close(status)];
  }

  #say(delta: string): StreamEvent[] {
    const opened = this.#message ? [] : this.#open();
    this.#message!.text += delta;
    return [
      ...opened,
      this.#event("response.output_text.delta", {
        ...this.#place(),
        delta,
        logprobs: [],
      }),
    ];
  }

  /** A call comes whole: its arguments are in one piece. */
  #call(call: ToolCall): StreamEvent[] {
    const closed = this.#close("completed");
    const id = newId("fc");
    const item = answeredCall(id, call);
    const output_index = this.#items.push(item) - 1;
    const place = { item_id: id, output_index };
    return [
      ...closed,
      this.#event("response.output_item.added", {
        output_index,
        item: { ...item, status: "in_progress", arguments: "" },
      }),
      this.#event("response.function_call_arguments.delta", {
        ...place,
        delta: item.arguments,
      }),
      this.#event("response.function_call_arguments.done", {
        ...place,
        arguments: item.arguments,
      }),
      this.#event("response.output_item.done", { output_index, item }),
    ];
  }

  #open(): StreamEvent[] {
    const id = newId("msg");
    this.#message = { id, text: "" };
    return [
      this.#event("response.output_item.added", {
        output_index: this.#items.length,
        item: answerItem(id, "", "in_progress"),
      }),
      this.#event("response.content_part.added", {
        ...this.#place(),
        part: said(""),
      }),
    ];
  }

  /** The end of the message that is being written, if there is one. */
  #close(status: "completed" | "incomplete"): StreamEvent[] {
    if (!this.#message) return [];
    const { id, text } = this.#message;
    const item = answerItem(id, text, status);
    const place = this.#place();
    this.#items.push(item);
    this.#message = null;
    return [
      this.#event("response.output_text.done", {
        ...place,
        text,
        logprobs: [],
      }),
      this.#event("response.content_part.done", { ...place, part: said(text) }),
      this.#event("response.output_item.done", {
        output_index: place.output_index,
        item,
      }),
    ];
  }

  #place() {
    return {
      item_id: this.#message!.id,
      output_index: this.#items.length,
      content_index: 0,
    };
  }
}
