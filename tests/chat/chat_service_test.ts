import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type GenerationEvent,
  RequestError,
  UnavailableError,
} from "../../lib/chat/chat_model.ts";
import { RecomputingDecoder } from "../../lib/decoder/recomputing_decoder.ts";
import { attendedPositions } from "../reference/decoder_reference.ts";
import {
  answer,
  chat,
  openService,
  promptOf,
  ScriptedDecoder,
  START,
  TOKENIZER,
  until,
} from "./scripted_decoder.ts";

const POLICIES = {
  standard: "sink-window",
  allowed: ["sink-window"],
  evict: "token",
} as const;
const HELLO = TOKENIZER.encode("hello").length;

/** Tokens that a further turn adds: the end of the answer, the user's message, the next header. */
function turnTokens(text: string): number {
  const control = 4; // end, start, end, start
  return control + TOKENIZER.encode("\n").length +
    TOKENIZER.encode(`user\n${text}`).length + TOKENIZER.encode("\n").length +
    TOKENIZER.encode("assistant\n").length;
}

Deno.test("an answer is the model's text, its prompt what the template says, its usage what was run", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const request = chat(["hi there"]);
  const events = service.generate(request);
  assertEquals(decoder.opened, []); // nothing runs before the first next()
  await events.return();
  const { text, finishReason, usage } = await answer(service, request);
  assertEquals([text, finishReason], ["hello", "stop"]);
  assertEquals(decoder.text(0), promptOf(request) + "hello");
  assertEquals(usage.promptTokens + HELLO, decoder.takeCost());
  assertEquals([usage.cachedTokens, usage.completionTokens], [0, HELLO + 1]);
  const { held, seen, evicted, capacity, sinks, bytes } = usage.cache;
  assertEquals([held, seen, evicted, capacity, sinks], [
    seen,
    decoder.seen(0),
    0,
    2052,
    4,
  ]);
  assertEquals(bytes, decoder.slotBytes);
  assertEquals(service.load, { running: 0, waiting: 0 });
});

for (
  const [when, window, tailRows] of [
    ["while all is held", 2048, undefined],
    ["after eviction", 20, undefined],
    ["while all but the tail's rows of before is held", 2048, 3],
  ] as const
) {
  Deno.test(`a further turn costs its new tokens alone, ${when}`, async () => {
    const decoder = new ScriptedDecoder(tailRows ? { tailRows } : {});
    const service = openService(decoder, { window });
    const turns = ["hi"];
    await answer(service, chat(turns));
    decoder.takeCost();
    for (let turn = 0; turn < 25; turn++) {
      turns.push("hello", `question ${turn}`);
      const before = decoder.seen(0);
      const request = chat(turns);
      const { usage } = await answer(service, request);
      const added = turnTokens(`question ${turn}`);
      assertEquals(decoder.takeCost(), added + HELLO);
      assertEquals([usage.cachedTokens, usage.promptTokens], [
        before,
        before + added,
      ]);
      assertEquals(decoder.text(0), promptOf(request) + "hello");
      assertEquals(usage.cache.held, Math.min(decoder.seen(0), window + 4));
      assertEquals(usage.cache.evicted, decoder.seen(0) - usage.cache.held);
    }
    assertEquals([decoder.opened, decoder.rewound], [[0], []]);
  });
}

Deno.test("an edited history goes on from the edit while nothing is overwritten, else it starts anew", async () => {
  for (
    const [window, tailRows, kept] of [
      [2048, undefined, true],
      [20, undefined, false],
      [2048, 200, true],
      [2048, 3, false],
    ] as const
  ) {
    const decoder = new ScriptedDecoder(tailRows ? { tailRows } : {});
    const service = openService(decoder, { window });
    await answer(service, chat(["one", "hello", "two"]));
    const first = decoder.takeCost();
    const edited = chat(["one", "hello", "three"]);
    const { text, usage } = await answer(service, edited);
    assertEquals([text, decoder.text(0)], ["hello", promptOf(edited) + text]);
    assertEquals(usage.cachedTokens > 0, kept);
    assertEquals(decoder.rewound, kept ? [usage.cachedTokens] : []);
    assertEquals(decoder.opened.length, kept ? 1 : 2);
    if (kept) assert(decoder.takeCost() < first);
  }
});

Deno.test("the same request again costs the last header alone", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const request = chat(["a question longer than its answer"]);
  await answer(service, request);
  decoder.takeCost();
  const { text } = await answer(service, request);
  assertEquals(text, "hello");
  assertEquals(
    decoder.takeCost(),
    TOKENIZER.encode("assistant\n").length + HELLO,
  );
});

Deno.test("an answer cut by maxTokens is 'length', and the next turn still costs its new tokens", async () => {
  const decoder = new ScriptedDecoder();
  decoder.answer = TOKENIZER.encode("the hello user");
  const service = openService(decoder, { maxTokens: 3 });
  const { text, finishReason, usage } = await answer(
    service,
    chat(["hi"], { maxTokens: 2 }),
  );
  assertEquals([finishReason, usage.completionTokens], ["length", 2]);
  assertEquals(decoder.seen(0), usage.promptTokens + 1); // the last token is still to be given
  decoder.takeCost();
  const request = chat(["hi", text, "more"], { maxTokens: 10 });
  const next = await answer(service, request);
  assertEquals([next.finishReason, next.usage.completionTokens], ["length", 3]); // the server's
  assertEquals(next.usage.cachedTokens, usage.promptTokens + 2);
  assertEquals(decoder.takeCost(), 1 + turnTokens("more") + 2);
  assertEquals(decoder.text(0).startsWith(promptOf(request)), true);
});

Deno.test("an answer ends before a stop string, wherever tokens cut it, and the next turn is right", async () => {
  for (const stop of ["lo", "llo u", "o us"]) {
    const decoder = new ScriptedDecoder();
    decoder.answer = TOKENIZER.encode("hello users");
    const service = openService(decoder);
    const { text, finishReason } = await answer(
      service,
      chat(["hi"], { stop: [stop] }),
    );
    assertEquals([text, finishReason], [
      "hello users".slice(0, "hello users".indexOf(stop)),
      "stop",
    ]);
    const request = chat(["hi", text, "again"]);
    await answer(service, request);
    assertEquals(decoder.text(0), promptOf(request) + "hello users");
  }
});

Deno.test("an answer cut amid a character leaves nothing of it in the next one", async () => {
  const decoder = new ScriptedDecoder();
  const half = TOKENIZER.encode("é")[0];
  decoder.answer = TOKENIZER.encode("hé");
  const service = openService(decoder);
  const events = service.generate(chat(["hi"]));
  let stopped: Promise<unknown> | undefined;
  decoder.gate = ({ tokens }) => {
    if (tokens[0] === half) stopped = events.return();
  };
  for await (const _ of events);
  assert(stopped !== undefined);
  await stopped;
  decoder.answer = TOKENIZER.encode("hello");
  const { text } = await answer(service, chat(["hi", "h", "go on"]));
  assertEquals(text, "hello");
});

Deno.test("policy full takes what fits, and ends an answer where its cache is full", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder, { window: 2048 });
  const request = chat(["hi there"]);
  const { usage } = await answer(service, request);
  const prompt = usage.promptTokens;
  const full = (window: number) =>
    answer(service, { ...request, policy: { policy: "full", window } });
  const cut = await full(prompt + 1);
  assertEquals(
    [cut.finishReason, cut.usage.completionTokens],
    ["length", 2], // the last token need not fit
  );
  const { policy, held, capacity, evicted, horizon, fullBytes } =
    cut.usage.cache;
  assertEquals([policy, held, capacity], ["full", prompt + 1, prompt + 1]);
  assertEquals([evicted, horizon.position, fullBytes], [0, 0, held * 10]);
  // The user's message, and the answer.
  assertEquals(horizon.messages, {
    whole: 2,
    partial: [],
    gone: { from: 0, to: 0 },
  });
  assertEquals((await full(prompt + 100)).finishReason, "stop");
  const error = await assertRejects(() => full(prompt - 1), RequestError);
  assertEquals((error as RequestError).param, "messages");
  assert(/takes? any number/.test(error.message), error.message);
  assertEquals(service.load, { running: 0, waiting: 0 });
});

Deno.test("a conversation keeps its policy: one that is asked for otherwise begins anew", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder, { window: 2048 });
  const first = chat(["hi there"]);
  await answer(service, first);
  const next = chat(["hi there", "hello", "go on"]);
  for (
    const policy of [
      { window: 100 },
      { policy: "window" as const },
      { evict: "turn" as const },
    ]
  ) {
    const other = await answer(service, { ...next, policy });
    assertEquals(other.usage.cachedTokens, 0);
  }
  const same = await answer(service, { ...next, policy: { sinks: 4 } });
  assert(same.usage.cachedTokens === 0 || same.usage.cache.sinks === 4);
  const refused = await assertRejects(
    () => answer(service, { ...next, policy: { window: 5000 } }),
    RequestError,
  );
  assertEquals((refused as RequestError).param, "everstream.window");
});

Deno.test("an idle conversation that cannot be rewound is left to itself, not taken for another's sake", async () => {
  const decoder = new ScriptedDecoder({ slots: 2, tailRows: 3 });
  const service = openService(decoder, { window: 2048 });
  await answer(service, chat(["the user says hello there"]));
  await answer(service, chat(["the user says hello you"]));
  assertEquals(decoder.opened, [0, 1]); // what they share would have made one slot of it
  const next = chat(["the user says hello there", "hello", "more"]);
  assert((await answer(service, next)).usage.cachedTokens > 0);
});

Deno.test("where messages leave whole, the decoder knows where each begins, whatever becomes of their slot", async () => {
  for (const evict of ["turn", "token"] as const) {
    for (const slots of [1, 2]) {
      const decoder = new ScriptedDecoder({ slots, chunk: 5 });
      const policies = { ...POLICIES, evict };
      const room = { swapBytes: 1e6, sharedBytes: 1e6 };
      const service = openService(decoder, { window: 80, policies, ...room });
      let left = 0;
      const chats = [["hi"], ["the user"], ["hello"]];
      for (let turn = 0; turn < 8; turn++) {
        for (const turns of chats) {
          const request = chat(turns, { system: "be nice" });
          const { text, usage } = await answer(service, request);
          turns.push(text, turn === 1 ? "the" : "go on");
          const prompt = promptOf(request);
          const slot = decoder.tokens.findIndex((_, slot) =>
            decoder.text(slot).startsWith(prompt)
          );
          const all = decoder.tokens[slot]!.flatMap((id, i) =>
            id === START ? [i] : []
          );
          const boundaries = evict === "turn" ? all : [];
          assertEquals(decoder.starts[slot], boundaries);
          const { cache } = usage;
          const seen = attendedPositions(cache.seen - 1, {
            sinks: 4,
            window: 80,
            boundaries,
          });
          assertEquals(
            [cache.evict, cache.held, cache.evicted, cache.horizon.position],
            [evict, seen.length, cache.seen - seen.length, seen[4]],
          );
          const sights = all.map((start, i) => {
            const end = all[i + 1] ?? cache.seen;
            const held = seen.filter((p) => p >= start && p < end).length;
            return held === end - start
              ? "whole"
              : held > 0
              ? "partial"
              : "gone";
          });
          const { whole, partial, gone } = cache.horizon.messages;
          assertEquals(whole, sights.filter((one) => one === "whole").length);
          assertEquals(
            sights.flatMap((one, i) => one === "partial" ? [i] : []),
            partial,
          );
          assertEquals(
            sights.flatMap((one, i) => one === "gone" ? [i] : []),
            Array.from(
              { length: gone.to - gone.from },
              (_, i) => gone.from + i,
            ),
          );
          left = Math.max(left, cache.evicted);
        }
        // A conversation that is told otherwise goes on from where both are equal.
        if (turn === 1) chats[0]!.splice(2, 1, "why");
      }
      assert(left > 40, `only ${left} tokens left`);
      assert(decoder.restored.length > 0 && decoder.rewound.length > 0);
    }
  }
});

Deno.test("a window that is recomputed answers as any other, from its last tokens alone", async () => {
  const scripted = new ScriptedDecoder({ chunk: 8 });
  const decoder = new RecomputingDecoder(scripted);
  const policies = { ...POLICIES, allowed: ["window-recompute"] } as const;
  const service = openService(decoder, {
    window: 40,
    policies,
    swapBytes: 1e6,
    sharedBytes: 1e6,
  });
  const chats = [["hi"], ["the user"]];
  for (let turn = 0; turn < 4; turn++) {
    for (const turns of chats) {
      const request = chat(turns, {
        policy: { policy: "window-recompute" },
        system: "be nice",
      });
      const { text, usage } = await answer(service, request);
      const { policy, held, seen, evicted, horizon } = usage.cache;
      assertEquals([text, policy], ["hello", "window-recompute"]);
      assertEquals([held, evicted], [
        Math.min(seen, 40),
        Math.max(0, seen - 40),
      ]);
      assertEquals(horizon.position, evicted);
      if (turn > 0) assert(usage.cachedTokens > 0);
      const all = promptOf(request) + text;
      assert(all.endsWith(scripted.text(0)), scripted.text(0));
      if (evicted > 0) assertEquals(scripted.tokens[0]!.length, 40);
      turns.push(text, "go on");
    }
  }
});

Deno.test("system sinks: the whole system block is pinned; one that does not fit is refused", async () => {
  const decoder = new ScriptedDecoder({ room: { sinks: 30, window: 4096 } });
  const service = openService(decoder, { sinks: "system" });
  const { usage } = await answer(service, chat(["hi"], { system: "be nice" }));
  const block = 2 + TOKENIZER.encode("system\nbe nice").length +
    TOKENIZER.encode("\n").length;
  assertEquals(usage.cache.sinks, block);
  const none = await answer(service, chat(["hi"]));
  assertEquals(none.usage.cache.sinks, 0);
  const runs = decoder.runs.length;
  const long = chat(["hi"], {
    system: "a very long system message, longer than the room",
  });
  const error = await assertRejects(
    () => answer(service, long),
    RequestError,
    "at most 30",
  );
  assertEquals((error as RequestError).param, "messages");
  assertEquals([decoder.runs.length, service.load.running], [runs, 0]);
});

Deno.test("an abort while the prompt is read frees the slot within one step", async () => {
  const decoder = new ScriptedDecoder({ chunk: 4 });
  const service = openService(decoder);
  const step = Promise.withResolvers<void>();
  decoder.gate = () => step.promise;
  const events = service.generate(
    chat(["a rather long question with many tokens"]),
  );
  assertEquals((await events.next()).value?.type, "start");
  const pending = events.next();
  await until(() => decoder.runs.length === 1);
  const returned = events.return();
  step.resolve();
  await returned;
  assertEquals((await pending).done, true);
  assertEquals([decoder.runs.length, service.load.running], [1, 0]);
  const request = chat(["next"]);
  assertEquals((await answer(service, request)).text, "hello");
  assertEquals(decoder.text(0), promptOf(request) + "hello");
});

Deno.test("an abort amid an answer frees the slot within one step, and the conversation can go on", async () => {
  for (const window of [2048, 20]) {
    const decoder = new ScriptedDecoder();
    decoder.answer = TOKENIZER.encode("hhhhhhhhhh");
    const service = openService(decoder, { window });
    let text = "";
    for await (const event of service.generate(chat(["hi"]))) {
      if (event.type === "text") text += event.text;
      if (text.length === 3) break;
    }
    assertEquals(service.load.running, 0);
    const cost = decoder.takeCost();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals(decoder.takeCost(), 0);
    const request = chat(["hi", text, "go on"]);
    const { usage } = await answer(service, request);
    assertEquals(decoder.text(0), promptOf(request) + "hhhhhhhhhh");
    assertEquals(usage.cachedTokens, cost + 1); // with the last token, which is still to be given
    assertEquals(decoder.opened.length, 1);
  }
});

Deno.test("requests beyond the slots wait their turn, and all are answered", async () => {
  const decoder = new ScriptedDecoder({ slots: 2, chunk: 4 });
  const service = openService(decoder);
  const order: number[] = [];
  const requests = [0, 1, 2, 3, 4, 5].map((i) =>
    chat([`question number ${i}`])
  );
  let most = 0;
  decoder.gate = () => void (most = Math.max(most, service.load.waiting));
  const answers = requests.map(async (request, i) => {
    const result = await answer(service, request);
    order.push(i);
    return result.text;
  });
  assertEquals(await Promise.all(answers), requests.map(() => "hello"));
  assertEquals([order, most], [[0, 1, 2, 3, 4, 5], 4]);
});

Deno.test("whoever leaves the line costs nothing, and those behind move up", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const step = Promise.withResolvers<void>();
  decoder.gate = () => step.promise;
  const first = answer(service, chat(["one"]));
  await until(() => service.load.running === 1);
  const left = service.generate(chat(["two"]));
  const pending = left.next();
  const third = answer(service, chat(["three"]));
  await until(() => service.load.waiting === 2);
  await left.return();
  assertEquals([(await pending).done, service.load.waiting], [true, 1]);
  step.resolve();
  assertEquals([(await first).text, (await third).text], ["hello", "hello"]);
  assertEquals(decoder.text(0), promptOf(chat(["three"])) + "hello");
  assert(decoder.runs.length < 20);
});

Deno.test("conversations keep their slots; a stranger gets the one idle for longest", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder);
  await answer(service, chat(["alice"]));
  await answer(service, chat(["bob"]));
  const alice = await answer(service, chat(["alice", "hello", "and?"]));
  assert(alice.usage.cachedTokens > 0);
  assert(decoder.tokens.every((tokens) => tokens.length > 10)); // bob took no slot from alice
  const carol = chat(["carol"]);
  await answer(service, carol);
  assertEquals(decoder.text(1), promptOf(carol) + "hello"); // bob's slot
  assert(
    (await answer(service, chat(["alice", "hello", "and?", "hello", "so"])))
      .usage.cachedTokens > 20,
  );
});

Deno.test("a decoder that fails ends that request alone, frees its slot, and the next is right", async () => {
  for (const failAfter of [0, 1, 3, 6]) {
    const decoder = new ScriptedDecoder({ chunk: 16 });
    const service = openService(decoder);
    await answer(service, chat(["first"]));
    decoder.failAfter = failAfter;
    const request = chat([
      "first",
      "hello",
      "a second question of some length",
    ]);
    await assertRejects(() => answer(service, request), Error, "engine broke");
    assertEquals(service.load, { running: 0, waiting: 0 });
    decoder.failAfter = Infinity;
    const { text, usage } = await answer(service, request);
    assertEquals([text, usage.cachedTokens], [
      "hello",
      0, // what a slot holds after a failure is not relied on
    ], `after ${failAfter}`);
    assertEquals(decoder.text(0), promptOf(request) + "hello");
  }
});

Deno.test("logits that are no distribution end their request alone, and free its slot", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  decoder.answer = Array(30).fill(TOKENIZER.encode("h")[0]!);
  const service = openService(decoder);
  const run = decoder.run.bind(decoder);
  decoder.run = async (chunks) => {
    const logits = await run(chunks);
    const first = chunks.findIndex(({ slot }) => slot === 0);
    if (chunks.length === 2) logits[first]!.fill(NaN);
    return logits;
  };
  const requests = [chat(["hi"]), chat(["ho"])];
  const [failed, other] = requests.map((of) => answer(service, of));
  await assertRejects(() => failed!, RangeError, "NaN");
  assertEquals((await other!).text, "h".repeat(30));
  decoder.run = run;
  assertEquals(service.load, { running: 0, waiting: 0 });
  assertEquals((await answer(service, requests[0]!)).text, "h".repeat(30));
});

Deno.test("log probabilities are told of each token but the one that ends the answer", async () => {
  const service = openService(new ScriptedDecoder());
  const request = chat(["hi"], { topLogprobs: 2 });
  const events = await Array.fromAsync(service.generate(request));
  const told = events.flatMap((event) =>
    event.type === "text" ? event.logprobs ?? [] : []
  );
  const token = (id: number) => new TextDecoder().decode(TOKENIZER.bytes(id));
  assertEquals(
    told.map((of) => of.token),
    TOKENIZER.encode("hello").map(token),
  );
  const logprob = -Math.log1p((TOKENIZER.size - 1) * Math.exp(-10));
  for (const { token: chosen, logprob: own, top } of told) {
    assertEquals(top.map((of) => of.token), [chosen, token(0)]);
    assertEquals([top[0]!.logprob, top[1]!.logprob], [own, own - 10]);
    assert(Math.abs(own - logprob) < 1e-9);
  }
});

Deno.test("options that make no sense are the client's error, before any slot is taken", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const bias = new Map([[100_000, 1]]);
  const request = chat(["hi"], {
    sampling: { temperature: 0, logitBias: bias },
  });
  await assertRejects(() => answer(service, request), RequestError);
  assertEquals([decoder.opened, service.load.running], [[], 0]);
});

Deno.test("an answer begins with what its prompt is and what of it costs nothing", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const events = await Array.fromAsync(service.generate(chat(["hi"])));
  const [start] = events;
  const { usage } = events.at(-1) as Extract<GenerationEvent, { type: "end" }>;
  assert(start?.type === "start");
  assertEquals(start.promptTokens, usage.promptTokens);
  assertEquals([start.cachedTokens, start.cache.seen], [0, 0]);
  const tokens = events.flatMap((event) =>
    event.type === "text" && event.text !== "" ? [event.tokens] : []
  );
  assertEquals(tokens, [1, 2, 3, 4, 5].slice(0, tokens.length));
});

Deno.test("conversations that decode at once are run as one batch", async () => {
  const decoder = new ScriptedDecoder({ slots: 4 });
  decoder.answer = Array(30).fill(TOKENIZER.encode("h")[0]!);
  const service = openService(decoder);
  const requests = [0, 1, 2, 3].map((i) => chat([`${i}`]));
  await Promise.all(requests.map((request) => answer(service, request)));
  assert(decoder.batches.includes(4), `batches: ${decoder.batches}`);
});

Deno.test("a system block is computed once for each owner, and its copy changes no answer", async () => {
  const system = "be kind to the user and to the assistant";
  for (const sharedBytes of [0, 1_000]) {
    const decoder = new ScriptedDecoder({ slots: 3, chunk: 8 });
    const service = openService(decoder, { sharedBytes });
    const ask = (question: string, owner: string) =>
      answer(
        service,
        chat([question], { system, client: { owner, id: owner } }),
      );
    const [first] = await Promise.all([
      ask("one", "a"),
      ask("two", "a"),
      ask("three", "a"),
    ]);
    const block = decoder.tokens[0]!.indexOf(START, 1);
    const whole = first.usage.promptTokens;
    const { totals, cacheBytes } = await service.state();
    const cost = decoder.takeCost();
    if (sharedBytes === 0) {
      assertEquals([totals.beginningsAsked, totals.beginningsFound], [3, 0]);
      assertEquals(cacheBytes.shared, 0);
    } else {
      assertEquals([totals.beginningsAsked, totals.beginningsFound], [3, 2]);
      assertEquals(cacheBytes.shared, block);
    }
    const other = await ask("one", "b");
    assertEquals(other.usage.cachedTokens, 0);
    assertEquals(decoder.takeCost(), whole + HELLO);
    for (const slot of [0, 1, 2]) {
      assert(decoder.text(slot).includes(system), decoder.text(slot));
      assert(decoder.text(slot).endsWith("hello"), decoder.text(slot));
    }
    assert(cost > 0);
  }
});

Deno.test("if whoever computes a shared beginning leaves, the next one does", async () => {
  const decoder = new ScriptedDecoder({ slots: 2, chunk: 4 });
  const service = openService(decoder, { sharedBytes: 1_000 });
  const system = "a system block of some length";
  let gate = Promise.withResolvers<void>();
  decoder.gate = () => gate.promise;
  const first = service.generate(chat(["one"], { system }));
  await first.next();
  const pending = first.next();
  await until(() => decoder.runs.length === 1);
  const second = answer(service, chat(["two"], { system }));
  const returned = first.return();
  gate.resolve();
  await Promise.all([returned, pending]);
  gate = Promise.withResolvers();
  gate.resolve();
  assertEquals((await second).text, "hello");
  assertEquals((await service.state()).totals.beginningsFound, 0);
  const third = await answer(service, chat(["three"], { system }));
  assert(third.usage.cachedTokens > 0);
});

Deno.test("conversations are never continued for another owner", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder, { sharedBytes: 1_000 });
  const of = (owner: string) => ({ client: { owner, id: owner } });
  await answer(service, chat(["a long first question"], of("a")));
  const turns = ["a long first question", "hello", "more"];
  const stranger = await answer(service, chat(turns, of("b")));
  assertEquals(stranger.usage.cachedTokens, 0);
  const back = await answer(service, chat(turns, of("a")));
  assert(back.usage.cachedTokens > 0);
});

Deno.test("a conversation that lost its slot to others goes on where it was, as often as one likes", async () => {
  const decoder = new ScriptedDecoder({ slots: 1 });
  const service = openService(decoder, { window: 40, swapBytes: 10_000 });
  const chats = [["first of all"], ["second of all"]];
  for (let turn = 0; turn < 20; turn++) {
    for (const [i, turns] of chats.entries()) {
      const cached = (await answer(service, chat(turns))).usage.cachedTokens;
      assertEquals(cached > 0, turn > 0);
      assertEquals(decoder.text(0), promptOf(chat(turns)) + "hello");
      turns.push("hello", `turn ${turn} of ${i}`);
    }
  }
  assertEquals(decoder.opened.length, 2);
  const { totals, cacheBytes } = await service.state();
  assertEquals([totals.swappedOut, totals.swappedIn], [39, 38]);
  assert(totals.evicted > 0 && cacheBytes.swapped > 0);
});

Deno.test("a request that waits too long is told when to come again; so is one that finds no room", async () => {
  const decoder = new ScriptedDecoder();
  const gate = Promise.withResolvers<void>();
  decoder.gate = () => gate.promise;
  const service = openService(decoder, { queue: 1, queueTimeout: 20 });
  const running = answer(service, chat(["one"]));
  await until(() => decoder.runs.length === 1);
  const waits = assertRejects(
    () => answer(service, chat(["two"])),
    UnavailableError,
    "try again in",
  );
  await until(() => service.load.waiting === 1);
  const refused = await assertRejects(
    () => answer(service, chat(["three"])),
    UnavailableError,
  ) as UnavailableError;
  assertEquals([refused.code, refused.retryAfter >= 1], ["queue_full", true]);
  await waits;
  gate.resolve();
  assertEquals((await running).text, "hello");
});

Deno.test("an answer that takes too long is ended with an error, and its slot is free", async () => {
  const decoder = new ScriptedDecoder();
  decoder.answer = Array(500).fill(TOKENIZER.encode("h")[0]!);
  decoder.gate = () => new Promise((resolve) => setTimeout(resolve, 2));
  const service = openService(decoder, { answerTimeout: 50, maxTokens: 1000 });
  const error = await assertRejects(
    () => answer(service, chat(["one"])),
    UnavailableError,
  ) as UnavailableError;
  assertEquals(error.code, "answer_timeout");
  assertEquals(service.load, { running: 0, waiting: 0 });
});
