/** Threads: turns that go on with what somebody else has the token log of. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RequestError } from "../../lib/chat/chat_model.ts";
import type {
  ChatMessage,
  GenerationEvent,
  GenerationRequest,
} from "../../lib/chat/chat_model.ts";
import { canonicalText } from "../../lib/chat/template.ts";
import type { ChatService } from "../../lib/chat/chat_service.ts";
import {
  NotHeldError,
  type Run,
  type ThreadEnd,
  type ThreadLog,
} from "../../lib/chat/thread.ts";
import {
  chat,
  openService,
  promptOf,
  ScriptedDecoder,
  TEMPLATE,
  TOKENIZER,
  until,
} from "./scripted_decoder.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({
  role: "assistant",
  content,
});

/** What a client of the service keeps of a thread. */
class Kept {
  tokens: number[] = [];
  starts: number[] = [];
  runs: Run[] = [];
  state: string | null = null;
  setup: ThreadEnd["setup"] | null = null;
  resumed: unknown = null;
  cached = 0;

  request(
    content: string,
    changes: Partial<GenerationRequest> & {
      to?: string;
      log?: Partial<ThreadLog> | undefined;
    } = {},
  ): GenerationRequest {
    const { to = `${this.state ?? ""}+`, log, ...rest } = changes;
    const from = this.state === null ? null : {
      state: this.state,
      setup: this.setup!,
      ...(log ? { log: { ...this.log(), ...log } } : {}),
    };
    const base = chat([], rest);
    return { ...base, messages: [user(content)], thread: { from, to } };
  }

  log(): ThreadLog {
    const { tokens, starts, runs } = this;
    return { tokens: Uint32Array.from(tokens), starts, runs, snapshot: null };
  }

  async turn(
    service: ChatService,
    content: string,
    changes: Parameters<Kept["request"]>[1] = {},
  ): Promise<string> {
    const request = this.request(content, changes);
    let text = "";
    for await (const event of service.generate(request)) {
      if (event.type === "start") {
        this.resumed = event.resumed;
        this.cached = event.cachedTokens;
      } else if (event.type === "text") text += event.text;
      else this.#take(request.thread!.to, event);
    }
    return text;
  }

  #take(state: string, end: Extract<GenerationEvent, { type: "end" }>): void {
    const { tokens, starts, runs, setup } = end.thread!;
    this.runs.push(...runs);
    assert(starts.every((start) => start >= this.tokens.length));
    this.tokens.push(...tokens);
    this.starts.push(...starts);
    this.setup = setup;
    this.state = state;
    assertEquals(end.usage.cache.horizon.messages.whole >= 0, true);
  }
}

Deno.test("thread: a turn renders, tokenizes and computes only what is new, and comes to the prompt that all messages give", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder);
  const kept = new Kept();
  assertEquals(await kept.turn(service, "one"), "hello");
  assertEquals(kept.resumed, null);
  decoder.takeCost();
  for (const [i, word] of ["two", "three"].entries()) {
    await kept.turn(service, word);
    assertEquals(kept.resumed, "slot");
    const turns = ["one", "hello", "two", "hello", "three"].slice(0, 3 + 2 * i);
    assertEquals(
      decoder.text(0),
      promptOf(chat(turns)) + "hello",
    );
    assertEquals(kept.tokens.length, decoder.tokens[0]!.length);
    assertEquals(kept.tokens, decoder.tokens[0]);
    assert(decoder.takeCost() < kept.tokens.length - kept.cached + 1);
  }
  assertEquals(kept.starts.map((at) => kept.tokens[at]), Array(6).fill(1));
});

Deno.test("thread: the part behind an answer agrees with rendering all messages, whatever they are", () => {
  const histories: ChatMessage[][] = [
    [user("a")],
    [{ role: "system", content: "s" }, user("a")],
    [user("a"), assistant("b"), user("c")],
    [user("<|im_end|>"), assistant("b"), user("")],
  ];
  for (const history of histories) {
    for (
      const next of [[user("x")], [
        { role: "system" as const, content: "y" },
        user("<|im_start|>"),
      ]]
    ) {
      assertEquals(behind(history, next), rendered(history, next));
    }
  }
});

function rendered(history: ChatMessage[], next: ChatMessage[]): string {
  const of = (messages: ChatMessage[]) => promptOf({ ...chat([]), messages });
  const before = of(history) + "answer";
  const whole = of([...history, assistant("answer"), ...next]);
  assert(whole.startsWith(before));
  return whole.slice(before.length);
}

function behind(_: ChatMessage[], next: ChatMessage[]): string {
  return canonicalText(
    TEMPLATE.renderBehind(next, { addGenerationPrompt: true }),
  );
}

Deno.test("thread: what is not in memory is asked for before anything is computed", async () => {
  const decoder = new ScriptedDecoder();
  const kept = new Kept();
  await kept.turn(openService(decoder), "one");
  const restarted = new ScriptedDecoder();
  const service = openService(restarted);
  const other = new Kept();
  await other.turn(service, "other", { to: "other" });
  restarted.opened.length = 0;
  const error = await assertRejects(
    () => kept.turn(service, "two"),
    NotHeldError,
  ) as NotHeldError;
  assertEquals(restarted.opened, []);
  await other.turn(service, "again");
  assertEquals(other.resumed, "slot");
  assertEquals([error.key.model, error.key.precision], ["scripted", "exact"]);
  const copy = await openServiceCopy(kept);
  assertEquals(copy.key, error.key);
});

async function openServiceCopy(kept: Kept) {
  const service = openService(new ScriptedDecoder());
  const again = new Kept();
  again.state = kept.state;
  again.setup = kept.setup;
  again.tokens = [...kept.tokens];
  again.starts = [...kept.starts];
  again.runs = [...kept.runs];
  await again.turn(service, "more", { log: {} });
  const copy = await service.copy({ owner: "", state: again.state! });
  assert(copy);
  return copy;
}

Deno.test("thread: goes on from a replayed log, a snapshot and an older snapshot as it would have in its slot", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const kept = new Kept();
  const copies = [];
  for (const word of ["one", "two"]) {
    await kept.turn(service, word, {
      to: word,
      maxTokens: 2,
    });
    copies.push(await service.copy({ owner: "", state: word }));
  }
  const whole = Object.assign(new Kept(), structuredClone({ ...kept }));
  await whole.turn(service, "three");
  const ways: [string, ThreadLog["snapshot"]][] = [
    ["replay", null],
    ["snapshot", copies[1]!.bytes],
    ["snapshot", copies[0]!.bytes],
    ["replay", copies[0]!.bytes.slice(0, 40)],
  ];
  for (const [resumed, snapshot] of ways) {
    const other = new ScriptedDecoder();
    const again = Object.assign(new Kept(), structuredClone({ ...kept }));
    await again.turn(openService(other), "three", { log: { snapshot } });
    assertEquals(again.resumed, resumed);
    assertEquals(again.tokens, whole.tokens);
    assertEquals(again.starts, whole.starts);
    assertEquals(other.tokens[0], decoder.tokens[0]);
    assertEquals(sizes(again.runs), sizes(whole.runs));
    // What is computed again is in the runs that it was in.
    const runs = other.runs.map(({ count }) => count);
    const all = decoder.runs.map(({ count }) => count);
    assertEquals(runs, all.slice(all.length - runs.length));
  }
});

/** Each run's size. */
function sizes(runs: Run[]): number[] {
  return runs.flatMap(([size, times]) => Array(times).fill(size));
}

Deno.test("thread: is found when it was moved out of its slot, and is nobody else's", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder, { swapBytes: 1e6 });
  const kept = new Kept();
  await kept.turn(service, "one");
  await new Kept().turn(service, "other", { to: "other" });
  const stranger = kept.request("two", { client: { owner: "eve", id: "" } });
  await assertRejects(
    () => Array.fromAsync(service.generate(stranger)),
    NotHeldError,
  );
  assertEquals(await service.copy({ owner: "eve", state: kept.state! }), null);
  assert(await service.copy({ owner: "", state: kept.state! }));
  await kept.turn(service, "two");
  assertEquals(kept.resumed, "memory");
  // A chat without a thread that has the same text must not take it along.
  await Array.fromAsync(
    service.generate(chat(["one", "hello", "two", "hello", "x"])),
  );
  await kept.turn(service, "three");
  assertEquals(kept.resumed, "memory");
});

Deno.test("thread: a turn that comes to nothing leaves the thread as it was", async () => {
  const decoder = new ScriptedDecoder({ room: { sinks: 4, window: 4096 } });
  const service = openService(decoder);
  const kept = new Kept();
  await kept.turn(service, "one", { maxTokens: 2 });
  const before = [...kept.tokens];
  const events = service.generate(kept.request("lost"));
  await events.next();
  await events.next();
  await events.return();
  await until(() => service.load.running === 0);
  await kept.turn(service, "two");
  assertEquals(kept.resumed, "slot");
  assertEquals(kept.tokens.slice(0, before.length), before);
  assertEquals(decoder.tokens[0]!.length, kept.tokens.length);
  assertEquals(kept.tokens, decoder.tokens[0]);
});

Deno.test("thread: a turn that comes to nothing behind a full window makes the model ask for the log", async () => {
  const decoder = new ScriptedDecoder({ room: { sinks: 0, window: 16 } });
  const service = openService(decoder, { sinks: 0, window: 16 });
  const kept = new Kept();
  await kept.turn(service, "some words that fill the window");
  const events = service.generate(kept.request("lost"));
  await events.next();
  await events.next();
  await events.return();
  await until(() => service.load.running === 0);
  await assertRejects(() => kept.turn(service, "two"), NotHeldError);
  await kept.turn(service, "two", { log: {} });
  assertEquals(kept.resumed, "replay");
});

Deno.test("thread: keeps the policy and the model that it was begun with", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder, { window: 512 });
  const kept = new Kept();
  await kept.turn(service, "one", { policy: { window: 300, evict: "turn" } });
  await kept.turn(service, "two");
  assertEquals(kept.setup!.policy, {
    name: "sink-window",
    sinks: 4,
    window: 300,
    evict: "turn",
    kvBits: 32,
  });
  await kept.turn(service, "three", { policy: { window: 300, kvBits: 32 } });
  await assertRejects(
    () => kept.turn(service, "four", { policy: { kvBits: 8 } }),
    RequestError,
    "begun with kv_bits 32",
  );
  await assertRejects(
    () => kept.turn(service, "four", { policy: { window: 400 } }),
    RequestError,
    "begun with window 300",
  );
  kept.setup = { ...kept.setup!, model: "another" };
  await assertRejects(
    () => kept.turn(service, "four"),
    RequestError,
    "another model",
  );
});

Deno.test("thread: stays in the kind of cache that it was begun in, of which copies are taken, too", async () => {
  const [exact, coarse] = [new ScriptedDecoder(), new ScriptedDecoder()];
  const format = { kvBits: 32, layered: false } as const;
  const service = openService([
    { format, decoder: exact },
    { format: { ...format, kvBits: 8 }, decoder: coarse },
  ]);
  const kept = new Kept();
  await kept.turn(service, "one", { policy: { kvBits: 8 } });
  await kept.turn(service, "two");
  assertEquals(kept.resumed, "slot");
  assertEquals([exact.opened, coarse.opened], [[], [0]]);
  const copy = await service.copy({ owner: "", state: kept.state! });
  assertEquals(JSON.parse(copy!.key.policy).kvBits, 8);
});

Deno.test("thread: lazy layers are found again where they were: at tokens that were chosen", async () => {
  const format = { kvBits: 32, layered: true } as const;
  const policies = {
    standard: "simplayer",
    allowed: ["simplayer"],
    evict: "token",
  } as const;
  const options = { policies, sharedBytes: 1e6 };
  const chosen = async (log?: Partial<ThreadLog>) => {
    const decoder = new ScriptedDecoder({ chunk: 100 });
    const logits: number[] = [];
    decoder.gate = (chunk) => void logits.push(chunk.logits);
    const service = openService([{ format, decoder }], options);
    await kept.turn(service, kept.state ? "two" : "one", { log });
    return logits;
  };
  const kept = new Kept();
  const first = await chosen();
  const both = await chosen({});
  assertEquals(kept.resumed, "replay");
  assertEquals(both.slice(0, first.length), first);
});

Deno.test("thread: with refuseOverflow nothing leaves the cache", async () => {
  const decoder = new ScriptedDecoder({ room: { sinks: 4, window: 28 } });
  decoder.answer = TOKENIZER.encode("hello hello hello hello hello");
  const service = openService(decoder, { sinks: 4, window: 28 });
  const kept = new Kept();
  await kept.turn(service, "hi", { refuseOverflow: true });
  assertEquals(kept.tokens.length, 33);
  await assertRejects(
    () => kept.turn(service, "again", { refuseOverflow: true }),
    RequestError,
    "its cache 32",
  );
  await kept.turn(service, "again");
  assertEquals(kept.resumed, "slot");
});

Deno.test("thread: counts the tokens of messages, alone and behind a thread", async () => {
  const service = openService(new ScriptedDecoder());
  const kept = new Kept();
  const messages = [user("one")];
  const first = await service.count({ messages, continued: false });
  await kept.turn(service, "one");
  const hello = TOKENIZER.encode("hello").length;
  assertEquals(first + hello, kept.tokens.length);
  const before = kept.tokens.length;
  const more = await service.count({ messages, continued: true });
  await kept.turn(service, "one");
  assertEquals(before + more + hello, kept.tokens.length);
});
