/**
 * A decoder that knows its answers beforehand, over a tiny vocabulary, and checks what it is asked
 * to do as the real one would.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { POLICY_NAMES } from "../../lib/cache/policy.ts";
import type { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { ModelCache } from "../../lib/chat/cache_lane.ts";
import type { ChatParts, ServiceLimits } from "../../lib/chat/chat_parts.ts";
import { ChatService } from "../../lib/chat/chat_service.ts";
import type {
  GenerationEvent,
  GenerationRequest,
} from "../../lib/chat/chat_model.ts";
import {
  canonicalText,
  type ChatTemplate,
  createChatTemplate,
} from "../../lib/chat/template.ts";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
  Snapshot,
} from "../../lib/decoder/decoder.ts";
import { sampleByRun } from "../../lib/decoder/sample_by_run.ts";
import type { Sample } from "../../lib/sampling/mod.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";

export const TOKENIZER = createTokenizer(smallVocabulary());
export const [START, END] = [1, 2]; // <|im_start|>, <|im_end|>

export const TEMPLATE: ChatTemplate = createChatTemplate(
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}" +
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  TOKENIZER,
);
const HEADER = TOKENIZER.encode("assistant\n").length;

/** Answers every prompt with `answer`'s tokens and then `<|im_end|>`. */
export class ScriptedDecoder implements Decoder {
  readonly vocabulary = TOKENIZER.size;
  readonly slots: number;
  readonly chunk: number;
  readonly room: { sinks: number; window: number };
  readonly slotBytes = 1000;
  readonly tokenBytes: number;
  readonly gpuBytes = null;
  /** Each slot's tokens, those evicted too. */
  readonly tokens: number[][];
  /** Positions of those that it was told begin messages, by slot. */
  readonly starts: number[][];
  /** Tokens of each run, by slot, since it was last emptied. */
  readonly runs: { slot: number; count: number }[] = [];
  /** Chunks of each run. */
  readonly batches: number[] = [];
  readonly opened: number[] = [];
  readonly rewound: number[] = [];
  readonly saved: number[] = [];
  readonly restored: number[] = [];
  /** Layers that it says are lazy. */
  lazy: readonly number[] = [];
  answer: number[] = TOKENIZER.encode("hello");
  /** Runs before the next failure. */
  failAfter = Infinity;
  /** Called at the beginning of each run; the run waits for what it gives. */
  gate: (chunk: DecodeChunk) => Promise<void> | void = () => {};
  readonly #policies: (SinkWindow | null)[];
  readonly #busy = new Set<number>();
  readonly #tailRows: number;

  constructor(
    of: {
      slots?: number;
      chunk?: number;
      room?: { sinks: number; window: number };
      tokenBytes?: number;
      /** Rows of a tail, which is overwritten before the window is. */
      tailRows?: number;
    } = {},
  ) {
    this.slots = of.slots ?? 1;
    this.chunk = of.chunk ?? 8;
    this.tokenBytes = of.tokenBytes ?? 10;
    this.room = of.room ?? { sinks: 64, window: 4096 };
    this.#tailRows = of.tailRows ?? Infinity;
    this.tokens = Array.from({ length: this.slots }, () => []);
    this.starts = this.tokens.map(() => []);
    this.#policies = this.tokens.map(() => null);
  }

  get cacheBytes(): number {
    return this.slots * this.slotBytes;
  }

  open(slot: number, policy: SinkWindow): void {
    assert(!this.#busy.has(slot), "opened while it runs");
    assert(
      policy.sinks <= this.room.sinks && policy.window <= this.room.window,
    );
    this.opened.push(slot);
    this.#policies[slot] = policy;
    this.tokens[slot] = [];
    this.starts[slot] = [];
  }

  close(slot: number): void {
    assert(!this.#busy.has(slot), "closed while it runs");
  }

  seen(slot: number): number {
    return this.tokens[slot]!.length;
  }

  lazyLayers(): readonly number[] {
    return this.lazy;
  }

  rewindable({ sinks, window }: SinkWindow, seen: number): boolean {
    return seen <= sinks + Math.min(window, this.#tailRows);
  }

  rewind(slot: number, count: number): void {
    assert(!this.#busy.has(slot), "rewound while it runs");
    const seen = this.seen(slot);
    assert(
      count <= seen &&
        (count === seen || this.rewindable(this.#policies[slot]!, seen)),
    );
    this.rewound.push(count);
    this.tokens[slot]!.length = count;
    this.starts[slot] = this.starts[slot]!.filter((start) => start < count);
  }

  limit(slot: number): number {
    const policy = this.#policies[slot]!;
    return Math.min(this.chunk, policy.chunkLimit(this.seen(slot)));
  }

  save(slot: number): ScriptedSnapshot {
    assert(!this.#busy.has(slot), "saved while it runs");
    this.saved.push(slot);
    const tokens = this.tokens[slot]!.slice();
    const policy = this.#policies[slot]!;
    const starts = this.starts[slot]!.slice();
    const seen = tokens.length;
    return { policy, seen, bytes: seen, tokens, starts };
  }

  async restore(slot: number, snapshot: Snapshot): Promise<void> {
    assert(!this.#busy.has(slot), "restored while it runs");
    this.restored.push(slot);
    const { policy, tokens, starts } = snapshot as ScriptedSnapshot;
    this.#busy.add(slot);
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.#busy.delete(slot);
    this.#policies[slot] = policy;
    this.tokens[slot] = tokens.slice();
    this.starts[slot] = starts.slice();
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    this.batches.push(chunks.length);
    return await Promise.all(chunks.map((chunk) => this.#run(chunk)));
  }

  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    return sampleByRun(this, chunks);
  }

  async #run(chunk: DecodeChunk): Promise<Float32Array> {
    const { slot, tokens, starts = [] } = chunk;
    assert(!this.#busy.has(slot), "run while it is busy");
    const limit = this.limit(slot);
    assert(
      tokens.length > 0 && tokens.length <= limit,
      `${tokens.length} tokens, at most ${limit}`,
    );
    this.#busy.add(slot);
    this.runs.push({ slot, count: tokens.length });
    try {
      await this.gate(chunk);
    } finally {
      this.#busy.delete(slot);
    }
    if (this.failAfter-- <= 0) throw new Error("engine broke");
    const seen = this.seen(slot);
    this.starts[slot]!.push(...starts.map((start) => seen + start));
    this.tokens[slot]!.push(...tokens);
    if (chunk.logits === 0) return new Float32Array(0);
    const logits = new Float32Array(this.vocabulary).fill(-5);
    logits[this.#next(this.tokens[slot]!)] = 5;
    return logits;
  }

  #next(tokens: readonly number[]): number {
    return this
      .answer[tokens.length - tokens.lastIndexOf(START) - 1 - HEADER] ?? END;
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  /** Canonical text of all that a slot was given. */
  text(slot: number): string {
    return textOf(this.tokens[slot]!);
  }

  /** Tokens run since the last call. */
  takeCost(): number {
    return this.runs.splice(0).reduce((sum, { count }) => sum + count, 0);
  }
}

interface ScriptedSnapshot extends Snapshot {
  readonly tokens: readonly number[];
  readonly starts: readonly number[];
}

function textOf(tokens: readonly number[]): string {
  let [canonical, bytes] = ["", [] as number[]];
  const flush = () => {
    canonical += new TextDecoder().decode(Uint8Array.from(bytes));
    bytes = [];
  };
  for (const id of tokens) {
    if (!TOKENIZER.isControl(id)) bytes.push(...TOKENIZER.bytes(id));
    else {
      flush();
      canonical += canonicalText([{ special: id }]);
    }
  }
  flush();
  return canonical;
}

/** A service on a scripted decoder, or on several for different kinds of caches. */
export function openService(
  decoders: Decoder | readonly ModelCache[],
  parts:
    & Partial<Pick<ChatParts, "sinks" | "window" | "policies" | "template">>
    & Partial<
      ServiceLimits
    > = {},
): ChatService {
  const { sinks = 4, window = 2048, policies, template, ...limits } = parts;
  return new ChatService({
    id: "scripted",
    caches: "slots" in decoders
      ? [{ format: { kvBits: 32, layered: false }, decoder: decoders }]
      : decoders,
    fingerprint: { model: "scripted", precision: "exact" },
    tokenizer: TOKENIZER,
    template: template ?? TEMPLATE,
    sinks,
    window,
    policies: policies ??
      { standard: "sink-window", allowed: POLICY_NAMES, evict: "token" },
    limits: {
      maxTokens: 100,
      queue: 16,
      queueTimeout: 10_000,
      answerTimeout: 60_000,
      swapBytes: 0,
      sharedBytes: 0,
      ...limits,
    },
  });
}

/** A request of messages that alternate between user and assistant; `system` comes first. */
export function chat(
  turns: readonly string[],
  changes: Partial<GenerationRequest> & { system?: string } = {},
): GenerationRequest {
  const { system, ...rest } = changes;
  const messages: GenerationRequest["messages"] = turns.map((content, i) => ({
    role: i % 2 === 0 ? "user" : "assistant",
    content,
  }));
  if (system !== undefined) {
    messages.unshift({ role: "system", content: system });
  }
  const client = { owner: "", id: "" };
  return { client, messages, sampling: { temperature: 0 }, stop: [], ...rest };
}

/** The prompt of a request, as canonical text. */
export function promptOf(request: GenerationRequest): string {
  return canonicalText(
    TEMPLATE.render(request.messages, { addGenerationPrompt: true }),
  );
}

/** Runs a request to its end. */
export async function answer(service: ChatService, request: GenerationRequest) {
  const events = await Array.fromAsync(service.generate(request));
  const end = events.pop() as Extract<GenerationEvent, { type: "end" }>;
  assertEquals(end.type, "end");
  assertEquals(events.shift()?.type, "start");
  const text = events.map((event) => event.type === "text" ? event.text : "?")
    .join("");
  return { text, finishReason: end.finishReason, usage: end.usage };
}

/** Waits until a condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert(condition(), "it did not come to pass");
}
