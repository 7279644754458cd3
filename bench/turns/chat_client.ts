/** A plain chat client: it sends the whole history with every turn. @module */
import { eventData } from "../soak/event_data.ts";
import type { Message } from "../soak/persona.ts";
import {
  postStream,
  type TurnClient,
  TurnClock,
  type TurnSample,
  type TurnServer,
} from "./client.ts";

/** A conversation that the client holds. */
export class ChatClient implements TurnClient {
  readonly name = "everstream, /v1/chat/completions";
  readonly #server: TurnServer;
  readonly #history: Message[] = [];

  constructor(server: TurnServer) {
    this.#server = server;
  }

  async say(content: string): Promise<TurnSample> {
    const { url, maxTokens } = this.#server;
    this.#history.push({ role: "user", content });
    const clock = new TurnClock();
    const body = await postStream(`${url}/v1/chat/completions`, {
      model: "default",
      messages: this.#history,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
      max_tokens: maxTokens,
    });
    let usage: ChatUsage | null = null;
    for await (const data of eventData(body)) {
      if (data === "[DONE]") continue;
      const chunk: ChatChunk = JSON.parse(data);
      if (chunk.error) throw new Error(`A turn ended with ${data}`);
      clock.add(chunk.choices[0]?.delta.content ?? "");
      usage = chunk.usage ?? usage;
    }
    const times = clock.end();
    if (!usage) throw new Error("A turn ended without its usage");
    this.#history.push({ role: "assistant", content: times.answer });
    return {
      ...times,
      cacheBytes: usage.everstream.bytes,
      computed: usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens,
      refusal: null,
      forgotten: 0,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

interface ChatUsage {
  readonly prompt_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly everstream: { readonly bytes: number };
}

/** What of the stream's chunks is read. */
interface ChatChunk {
  readonly error?: unknown;
  readonly choices: readonly {
    readonly delta: { readonly content?: string };
  }[];
  readonly usage?: ChatUsage | null;
}
