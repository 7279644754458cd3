/** The text of one answer: what of it may be shown, and when it ends. @module */
import type { Logprobs, Sample } from "../sampling/mod.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type {
  CacheUsage,
  GenerationEvent,
  GenerationRequest,
  TokenLogprob,
} from "./chat_model.ts";
import type { ConversationLog } from "./conversation_log.ts";
import { StopStrings } from "./stop_strings.ts";

/** An answer under way. */
export class Answer {
  readonly #tokenizer: Tokenizer;
  readonly #log: ConversationLog;
  readonly #stops: StopStrings;
  readonly #most: number;
  #text = "";
  #logprobs: (TokenLogprob & { top: TokenLogprob[] })[] = [];
  /** Tokens so far, the one that ends it included. */
  tokens = 0;
  finishReason: "stop" | "length" = "stop";

  /**
   * @param log takes the answer's text
   * @param maxTokens most tokens, whatever the request asks
   */
  constructor(
    request: GenerationRequest,
    of: { tokenizer: Tokenizer; log: ConversationLog; maxTokens: number },
  ) {
    this.#tokenizer = of.tokenizer;
    this.#log = of.log;
    this.#stops = new StopStrings(request.stop);
    this.#most = Math.min(request.maxTokens ?? Infinity, of.maxTokens);
  }

  /** Takes the next token; says whether, and how, it ends the answer. */
  take(
    { token, logprobs }: Sample,
  ): "end-token" | "stop-string" | "length" | null {
    this.tokens++;
    if (this.#tokenizer.endIds.has(token)) {
      this.#finish();
      return "end-token";
    }
    if (logprobs) this.#logprobs.push(this.#describe(token, logprobs));
    const { text, stopped } = this.#stops.push(this.#log.appendToken(token));
    this.#text += text;
    if (stopped) return "stop-string";
    if (this.tokens < this.#most) return null;
    this.finishReason = "length";
    this.#finish();
    return "length";
  }

  /** What became known since the last event, if anything. */
  event(cache: CacheUsage): GenerationEvent | null {
    if (this.#text === "" && this.#logprobs.length === 0) return null;
    const event: GenerationEvent = {
      type: "text",
      tokens: this.tokens,
      text: this.#text,
      cache,
      ...(this.#logprobs.length > 0 ? { logprobs: this.#logprobs } : {}),
    };
    this.#text = "";
    this.#logprobs = [];
    return event;
  }

  #finish(): void {
    const { text, stopped } = this.#stops.push(this.#log.endAnswer());
    this.#text += text;
    if (stopped) this.finishReason = "stop";
    else this.#text += this.#stops.end();
  }

  #describe(
    token: number,
    { logprob, top }: Logprobs,
  ): TokenLogprob & { top: TokenLogprob[] } {
    const name = (id: number, logprob: number): TokenLogprob => {
      const bytes = this.#tokenizer.bytes(id);
      return {
        token: new TextDecoder().decode(bytes),
        bytes: [...bytes],
        logprob,
      };
    };
    return {
      ...name(token, logprob),
      top: top.map((t) => name(t.token, t.logprob)),
    };
  }
}
