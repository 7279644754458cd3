/** The choices of OpenAI's `chat.completion` and `chat.completion.chunk`. @module */
import type { TokenLogprob } from "../chat/chat_model.ts";
import {
  type ChoiceWriter,
  type Piece,
  type WireFormat,
  wireLogprob,
} from "./completion.ts";
import { wireToolCall } from "./tools.ts";

/** How `/v1/chat/completions` writes answers. */
export const CHAT_FORMAT: WireFormat = {
  prefix: "chatcmpl",
  object: "chat.completion",
  chunk: "chat.completion.chunk",
  choice: () => new ChatChoice(),
};

class ChatChoice implements ChoiceWriter {
  #calls = 0;

  open(): object {
    return { delta: { role: "assistant", content: "" }, logprobs: null };
  }

  piece({ text, calls, logprobs }: Piece): object {
    const wire = calls.map((call) => ({
      index: this.#calls++,
      ...wireToolCall(call),
    }));
    // Beside calls, no text is no content.
    const content = text !== "" || wire.length === 0 ? { content: text } : {};
    return {
      delta: { ...content, ...(wire.length > 0 ? { tool_calls: wire } : {}) },
      logprobs: wireLogprobs(logprobs),
    };
  }

  close(): object {
    return { delta: {}, logprobs: null };
  }

  whole({ text, calls, logprobs }: Piece): object {
    const called = calls.length > 0;
    return {
      message: {
        role: "assistant",
        content: called && text === "" ? null : text,
        refusal: null,
        ...(called ? { tool_calls: calls.map(wireToolCall) } : {}),
      },
      logprobs: wireLogprobs(logprobs),
    };
  }
}

function wireLogprobs(logprobs: Piece["logprobs"]): object | null {
  if (logprobs === null) return null;
  const content = logprobs.map((token) => ({
    ...wireToken(token),
    top_logprobs: token.top.map(wireToken),
  }));
  return { content, refusal: null };
}

function wireToken({ token, logprob, bytes }: TokenLogprob) {
  return { token, logprob: wireLogprob(logprob), bytes };
}
