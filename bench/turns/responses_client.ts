/** A client that sends what is new to `/v1/responses`: the server holds the conversation. @module */
import { eventData } from "../soak/event_data.ts";
import {
  postStream,
  type TurnClient,
  TurnClock,
  type TurnSample,
  type TurnServer,
} from "./client.ts";

/** A conversation that the server holds. */
export class ResponsesClient implements TurnClient {
  readonly name = "everstream, /v1/responses";
  readonly #server: TurnServer;
  /** The conversation's id. */
  readonly conversation: string;

  private constructor(server: TurnServer, conversation: string) {
    this.#server = server;
    this.conversation = conversation;
  }

  /** Makes a conversation. */
  static async open(server: TurnServer): Promise<ResponsesClient> {
    const body = await postStream(`${server.url}/v1/conversations`, {});
    const { id } = await new Response(body).json();
    return new ResponsesClient(server, id);
  }

  async say(input: string): Promise<TurnSample> {
    const { url, maxTokens } = this.#server;
    const clock = new TurnClock();
    const body = await postStream(`${url}/v1/responses`, {
      model: "default",
      conversation: this.conversation,
      input,
      stream: true,
      temperature: 0,
      max_output_tokens: maxTokens,
    });
    let last: ResponseEvent | null = null;
    for await (const data of eventData(body)) {
      last = JSON.parse(data) as ResponseEvent;
      if (last.type === "response.output_text.delta") clock.add(last.delta!);
    }
    const times = clock.end();
    const { usage, everstream } = last?.response ?? {};
    if (!usage || !everstream?.cache) {
      throw new Error(`A turn ended with ${JSON.stringify(last)}`);
    }
    return {
      ...times,
      cacheBytes: everstream.cache.bytes,
      computed: usage.input_tokens - usage.input_tokens_details.cached_tokens,
      refusal: null,
      forgotten: 0,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** What of the stream's events is read. */
interface ResponseEvent {
  readonly type: string;
  readonly delta?: string;
  readonly response?: {
    readonly usage: null | {
      readonly input_tokens: number;
      readonly input_tokens_details: { readonly cached_tokens: number };
    };
    readonly everstream?: { readonly cache: { readonly bytes: number } | null };
  };
}
