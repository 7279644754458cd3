import { assert, assertEquals, assertRejects } from "@std/assert";
import { cancellable } from "../../lib/chat/cancellable.ts";
import {
  type ChatModel,
  type GenerationEvent,
  RequestError,
  UnavailableError,
} from "../../lib/chat/chat_model.ts";
import { exposition } from "../../lib/metrics/exposition.ts";
import { measure } from "../../lib/metrics/measured.ts";
import { Metrics } from "../../lib/metrics/metrics.ts";
import { observed, wrappedEach } from "../../lib/observe/observed_model.ts";
import { ScriptedModel } from "../scripted_model.ts";
import { parseExposition, valueOf } from "./parse_exposition.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const request = {
  client: { owner: "", id: "" },
  messages: [],
  sampling: {},
  stop: [],
};
const cache = {
  policy: "sink-window" as const,
  evict: "token" as const,
  kvBits: 32 as const,
  held: 0,
  seen: 0,
  evicted: 0,
  capacity: 8,
  sinks: 0,
  horizon: {
    position: 0,
    messages: { whole: 0, partial: [], gone: { from: 0, to: 0 } },
  },
  lazyLayers: [],
  bytes: 8,
  fullBytes: 0,
};

function start(promptTokens: number, cachedTokens: number): GenerationEvent {
  return { type: "start", promptTokens, cachedTokens, cache };
}

function text(tokens: number): GenerationEvent {
  return { type: "text", tokens, text: "", cache };
}

function end(completionTokens: number): GenerationEvent {
  const usage = { promptTokens: 9, cachedTokens: 4, completionTokens, cache };
  return { type: "end", finishReason: "length", usage };
}

type Play = (
  signal: AbortSignal,
) => AsyncGenerator<GenerationEvent, void, void>;

/** A measured model that answers like this, by a clock of its own. */
function bench(play: Play) {
  const clock = { now: 100 };
  const metrics = new Metrics();
  const scripted = new ScriptedModel();
  const inner: ChatModel = {
    id: "m",
    created: 1,
    generate: () => cancellable(play),
    count: (request) => scripted.count(request),
    copy: () => scripted.copy(),
    state: () => scripted.state(),
    encode: (source) => scripted.encode(source),
    decode: (tokens) => scripted.decode(tokens),
  };
  const model = observed(inner, [measure(metrics, { now: () => clock.now })]);
  return {
    clock,
    model,
    events: model.generate(request),
    value: (name: string, labels = {}) =>
      valueOf(
        parseExposition(exposition(metrics.families)),
        `everstream:${name}`,
        labels,
      ),
    /** Every result that is not zero. */
    results: () =>
      [...parseExposition(exposition(metrics.families)).values()]
        .flatMap((family) => family.samples)
        .filter(({ name, value }) =>
          /request_(success|failure)_total$/.test(name) && value > 0
        )
        .map(({ labels, value }) => [
          labels["finished_reason"] ?? labels["reason"],
          value,
        ]),
  };
}

Deno.test("measured: everything is there from zero on, under the model's name", () => {
  const metrics = new Metrics();
  observed(new ScriptedModel({ id: 'a "b"\\\n' }), [measure(metrics)]);
  const parsed = parseExposition(exposition(metrics.families));
  assertEquals([...parsed.keys()], [
    "everstream:prompt_tokens_total",
    "everstream:prompt_tokens_cached_total",
    "everstream:generation_tokens_total",
    "everstream:time_to_first_token_seconds",
    "everstream:inter_token_latency_seconds",
    "everstream:e2e_request_latency_seconds",
    "everstream:request_queue_time_seconds",
    "everstream:request_success_total",
    "everstream:request_failure_total",
    "everstream:turns_resumed_total",
  ]);
  for (const { samples } of parsed.values()) {
    assert(samples.length > 0);
    for (const { labels, value } of samples) {
      assertEquals([labels["model_name"], value], ['a "b"\\\n', 0]);
    }
  }
});

Deno.test("measured: tokens, times and the result of an answer", async () => {
  const { clock, events, value, results } = bench(async function* () {
    clock.now += 2; // in the queue
    yield start(9, 4);
    clock.now += 1; // half of the prompt
    yield text(0);
    clock.now += 1;
    yield text(1);
    clock.now += 0.5;
    yield text(2);
    clock.now += 0.5; // logprobs of tokens that were counted
    yield text(2);
    clock.now += 0.1;
    yield text(5);
    clock.now += 0.3;
    yield end(6);
    clock.now += 1000;
  });
  assertEquals((await Array.fromAsync(events)).length, 7);
  assertEquals(value("prompt_tokens_total", { model_name: "m" }), 9);
  assertEquals(value("prompt_tokens_cached_total"), 4);
  assertEquals(value("generation_tokens_total"), 6);
  const histogram = (name: string) => [
    value(`${name}_count`),
    Number(value(`${name}_sum`)!.toFixed(9)),
  ];
  assertEquals(histogram("request_queue_time_seconds"), [1, 2]);
  assertEquals(histogram("time_to_first_token_seconds"), [1, 4]);
  assertEquals(histogram("inter_token_latency_seconds"), [5, 1.4]);
  assertEquals(histogram("e2e_request_latency_seconds"), [1, 5.4]);
  const upTo = (le: string) =>
    value("inter_token_latency_seconds_bucket", { le });
  assertEquals([upTo("0.15"), upTo("0.2"), upTo("0.3"), upTo("0.5")], [
    0,
    3,
    4,
    5,
  ]);
  assertEquals(results(), [["length", 1]]);
});

Deno.test("measured: nothing counts before the first next()", async () => {
  let ran = false;
  const { clock, events, model, value, results } = bench(async function* () {
    ran = true;
    yield start(1, 0);
    yield end(0);
  });
  clock.now += 60;
  assert(!ran);
  await Array.fromAsync(events);
  assertEquals(value("e2e_request_latency_seconds_sum"), 0);
  await model.generate(request).return();
  assertEquals(results(), [["length", 1]]);
  assertEquals(value("time_to_first_token_seconds_count"), 0);
});

const refusals: [error: Error, reason: string][] = [
  [new RequestError("No."), "invalid_request"],
  [new UnavailableError("queue_full", "No.", 1), "queue_full"],
  [new UnavailableError("queue_timeout", "No.", 1), "queue_timeout"],
  [new UnavailableError("answer_timeout", "No.", 1), "answer_timeout"],
  [new UnavailableError("model_restarted", "No.", 1), "model_restarted"],
  [new TypeError("broken"), "error"],
];

for (const [error, reason] of refusals) {
  Deno.test(`measured: what is thrown is passed on and counted once, ${reason}`, async () => {
    const { events, results, value } = bench(async function* () {
      yield start(3, 0);
      yield text(1);
      throw error;
    });
    await events.next();
    await events.next();
    assert(await assertRejects(() => events.next()) === error);
    assertEquals(await events.next(), { done: true, value: undefined });
    await events.return();
    assertEquals(results(), [[reason, 1]]);
    assertEquals(value("generation_tokens_total"), 1);
    assertEquals(value("e2e_request_latency_seconds_count"), 0);
  });
}

Deno.test("measured: return() reaches the model while a step is pending", async () => {
  let stopped = false;
  const { events, results, value } = bench(async function* (signal) {
    yield start(3, 0);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    stopped = true;
    signal.throwIfAborted();
  });
  await events.next();
  const pending = events.next();
  const returned = await events.return();
  assertEquals([stopped, returned.done, (await pending).done], [
    true,
    true,
    true,
  ]);
  await events.return();
  assertEquals(results(), [["cancelled", 1]]);
  assertEquals(value("prompt_tokens_total"), 3);
});

Deno.test("measured: leaving a loop and throw() cancel", async () => {
  const { model, results } = bench(async function* () {
    yield start(3, 0);
    for (let i = 1;; i++) yield text(i);
  });
  for await (const event of model.generate(request)) {
    if (event.type === "text") break;
  }
  assertEquals(results(), [["cancelled", 1]]);
  const events = model.generate(request);
  await events.next();
  assertEquals((await events.throw(new TypeError("mine"))).done, true);
  assertEquals(results(), [["cancelled", 2]]);
});

Deno.test("measured: what follows the end changes no result", async () => {
  const { model, results } = bench(async function* () {
    yield start(3, 0);
    yield end(0);
    throw new TypeError("broken");
  });
  const events = model.generate(request);
  await events.next();
  await events.next();
  await assertRejects(() => events.next(), TypeError);
  await events.return();
  assertEquals(results(), [["length", 1]]);
});

Deno.test("measured: an answer without an end is an error", async () => {
  const { events, results } = bench(async function* () {
    yield start(3, 0);
  });
  await Array.fromAsync(events);
  assertEquals(results(), [["error", 1]]);
});

Deno.test("measured: each model once, and its successor anew", () => {
  const models = [new ScriptedModel(), new ScriptedModel()];
  let current: ChatModel | null = null;
  const get = wrappedEach(() => current, (model) => observed(model, []));
  assertEquals(get(), null);
  current = models[0]!;
  const first = get();
  assert(first !== null && first === get());
  assertEquals([first.id, first.created], [current.id, current.created]);
  current = models[1]!;
  assert(get() !== first);
  current = models[0]!;
  assert(get() === first);
});
