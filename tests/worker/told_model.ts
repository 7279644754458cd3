/**
 * A chat model that does what the last message tells it, for tests of the thread it runs in.
 *
 * @module
 */
import { cancellable } from "../../lib/chat/cancellable.ts";
import {
  type CacheUsage,
  type ChatModel,
  type CountRequest,
  type EncodedPrompt,
  type GenerationEvent,
  type GenerationRequest,
  type ModelState,
  type PromptSource,
  RequestError,
  UnavailableError,
} from "../../lib/chat/chat_model.ts";
import {
  NotHeldError,
  type ThreadCopy,
  type ThreadName,
} from "../../lib/chat/thread.ts";
import type { CacheSetup } from "../../lib/plan/cache_setup.ts";

type Events = AsyncGenerator<GenerationEvent, void, void>;

const CACHE: CacheUsage = {
  policy: "sink-window",
  evict: "token",
  kvBits: 8,
  held: 5,
  seen: 7,
  evicted: 2,
  capacity: 5,
  sinks: 1,
  horizon: {
    position: 3,
    messages: { whole: 1, partial: [0], gone: { from: 1, to: 1 } },
  },
  lazyLayers: [2, 5],
  bytes: 1000,
  fullBytes: 1400,
};

const START: GenerationEvent = {
  type: "start",
  promptTokens: 3,
  cachedTokens: 1,
  cache: CACHE,
};

/** The answer to `stream COUNT`. */
export function streamed(count: number): GenerationEvent[] {
  return [
    START,
    ...Array.from({ length: count }, (_, i): GenerationEvent => ({
      type: "text",
      tokens: i + 1,
      text: `${i} é`,
      logprobs: [{
        token: "é",
        bytes: [195, 169],
        logprob: -Infinity,
        top: [],
      }],
      cache: CACHE,
    })),
    {
      type: "end",
      finishReason: "stop",
      usage: {
        promptTokens: 3,
        cachedTokens: 1,
        completionTokens: count,
        cache: CACHE,
      },
    },
  ];
}

/** What a {@linkcode ToldModel} says its caches depend on. */
export const CACHES: CacheSetup = {
  shape: { layers: 2, heads: 4, kvHeads: 2, headDim: 16 },
  sinks: 4,
  window: 60,
  lazyLayers: "auto",
  memory: 1 << 20,
};

/** Of what a {@linkcode ToldModel} copies, and asks for. */
export const KEY = { model: "told", policy: "window", precision: "f32" };

/** A request for a {@linkcode ToldModel}. */
export function tell(content: string): GenerationRequest {
  return {
    client: { owner: "", id: "127.0.0.1" },
    messages: [{ role: "user", content }],
    sampling: { logitBias: new Map([[7, -100]]) },
    stop: [],
  };
}

/** Its `state()` says what it does and did. */
export class ToldModel implements ChatModel {
  readonly id = "told";
  readonly created = 1_700_000_000;
  #running = 0;
  #begun = 0;
  #cancelled = 0;

  generate(request: GenerationRequest): Events {
    const [word = "", number] = request.messages.at(-1)!.content.split(" ");
    return cancellable((signal) =>
      this.#counted(EVENTS[word]!(signal, Number(number)), signal)
    );
  }

  async *#counted(events: Events, signal: AbortSignal): Events {
    this.#running++;
    this.#begun++;
    signal.addEventListener("abort", () => this.#cancelled++);
    try {
      yield* events;
    } finally {
      this.#running--;
    }
  }

  /** A letter is a token. */
  count({ messages }: CountRequest): Promise<number> {
    if (messages.length === 0) return Promise.reject(new RequestError("None"));
    return Promise.resolve(messages[0]!.content.length);
  }

  /** Of a state with a number for a name: so many bytes. */
  copy({ owner, state }: ThreadName): Promise<ThreadCopy | null> {
    const bytes = new Uint8Array(Number(state)).fill(7);
    return Promise.resolve(owner === "" ? null : { key: KEY, bytes });
  }

  /** `evicted` counts cancellations, `beginningsAsked` requests. */
  state(): Promise<ModelState> {
    return Promise.resolve({
      running: this.#running,
      waiting: 0,
      cacheBytes: { active: 0, idle: 0, free: 0, swapped: 0, shared: 0 },
      gpuBytes: null,
      totals: {
        evicted: this.#cancelled,
        swappedOut: 0,
        swappedIn: 0,
        beginningsAsked: this.#begun,
        beginningsFound: 0,
      },
    });
  }

  encode({ prompt }: PromptSource): Promise<EncodedPrompt> {
    const text = prompt && "text" in prompt ? prompt.text : "";
    return Promise.resolve({ tokens: [text.length], text });
  }

  decode(tokens: number[]): Promise<string> {
    return tokens.length > 0
      ? Promise.resolve(tokens.join())
      : Promise.reject(new RequestError("There are none", "tokens"));
  }
}

/** What it can be told. */
const EVENTS: Record<string, (signal: AbortSignal, number: number) => Events> =
  {
    /** Answers with a pause before each event. */
    async *stream(signal, count) {
      for (const event of streamed(count)) {
        await pause(1, signal);
        yield event;
      }
    },
    /** Starts, and waits for ever. */
    async *wait(signal) {
      yield START;
      await pause(2 ** 30, signal);
    },
    /** Takes its time to end. */
    async *linger(signal, milliseconds) {
      try {
        yield* EVENTS["wait"]!(signal, 0);
      } finally {
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
      }
    },
    /** Keeps its thread busy between two events. */
    async *block(_, milliseconds) {
      yield START;
      await new Promise((resolve) => setTimeout(resolve));
      const end = performance.now() + milliseconds;
      while (performance.now() < end);
      yield streamed(0).at(-1)!;
    },
    /** Throws once it has started. */
    async *request() {
      yield START;
      throw new RequestError("There is no token 9", "logit_bias");
    },
    async *unheld() {
      yield START;
      throw new NotHeldError(KEY);
    },
    async *unavailable() {
      yield START;
      throw new UnavailableError("queue_full", "The queue is full", 7);
    },
    async *fail() {
      yield* streamed(1).slice(0, 2);
      throw new RangeError("A bug");
    },
    async *trap() {
      yield START;
      throw new WebAssembly.RuntimeError("unreachable");
    },
    /** Throws where nothing catches. */
    async *crash(signal) {
      yield START;
      setTimeout(() => {
        throw new Error("crashed as told");
      });
      await pause(2 ** 30, signal);
    },
    async *reject(signal) {
      yield START;
      Promise.reject(new Error("rejected as told"));
      await pause(2 ** 30, signal);
    },
  };

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
