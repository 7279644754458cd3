import { assert, assertEquals, assertRejects } from "@std/assert";
import type { GenerationEvent } from "../../lib/chat/chat_model.ts";
import { cancellable } from "../../lib/chat/cancellable.ts";
import { ApiError } from "../../lib/openai/errors.ts";
import { Turn } from "../../lib/routes/turn.ts";

Deno.test.sanitizer({ ops: true, resources: true });

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

function text(tokens: number): GenerationEvent {
  return { type: "text", tokens, text: `${tokens}`, cache };
}

function end(): GenerationEvent {
  const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 1 };
  return { type: "end", finishReason: "stop", usage: { ...usage, cache } };
}

type Play = (
  signal: AbortSignal,
) => AsyncGenerator<GenerationEvent, void, void>;

/** A turn over this answer, and what became of it. */
function begun(play: Play, backlog = 4) {
  const seen = { returned: 0, reported: [] as unknown[] };
  const events = cancellable(play);
  const end = events.return;
  events.return = (value) => {
    seen.returned++;
    return end(value);
  };
  const report = (error: unknown) => seen.reported.push(error);
  return { turn: new Turn(events, { backlog, report }), seen };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve())
  );
}

/** Lets everything happen that waits for nothing. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

Deno.test("turn: the model is read though nobody takes anything", async () => {
  let finished = false;
  const { turn, seen } = begun(async function* () {
    yield text(1);
    yield text(2);
    yield end();
    finished = true;
  });
  await settled();
  assert(finished);
  assert(!turn.over);
  assertEquals(await turn.arrives(), true);
  assertEquals(turn.take(), [text(1), text(2), end()]);
  assert(turn.over);
  assertEquals([await turn.arrives(), turn.take()], [true, []]);
  turn.close();
  assertEquals(seen, { returned: 0, reported: [] });
});

Deno.test("turn: as many events as the backlog has room for may wait, and the end besides", async () => {
  const { turn, seen } = begun(async function* () {
    for (let i = 1; i <= 4; i++) yield text(i);
    yield end();
  }, 4);
  await settled();
  await turn.arrives();
  assertEquals(turn.take().length, 5);
  assertEquals(seen.returned, 0);
});

Deno.test("turn: one event more ends the model's answer, after what waited", async () => {
  let yielded = 0;
  const { turn, seen } = begun(async function* () {
    while (yielded < 100) yield text(++yielded);
  }, 4);
  await settled();
  assertEquals([yielded, seen.returned], [5, 1]);
  assertEquals(await turn.arrives(), true);
  assertEquals(turn.take().length, 5);
  assert(!turn.over);
  const error = await assertRejects(() => turn.arrives(), ApiError);
  assert(error instanceof ApiError);
  assertEquals(error.body.error.code, "client_too_slow");
  assertEquals(seen, { returned: 1, reported: [] });
});

Deno.test("turn: a reader that keeps up is never too slow", async () => {
  const { turn, seen } = begun(async function* () {
    for (let i = 1; i <= 100; i++) yield text(i);
    yield end();
  }, 4);
  let count = 0;
  while (!turn.over) {
    await turn.arrives();
    count += turn.take().length;
  }
  assertEquals(count, 101);
  assertEquals(seen, { returned: 0, reported: [] });
});

Deno.test("turn: waiting ends when time is up, and what comes later is not lost", async () => {
  const gate = Promise.withResolvers<void>();
  const { turn } = begun(async function* () {
    await gate.promise;
    yield text(1);
    yield end();
  });
  const began = performance.now();
  assertEquals(await turn.arrives(5), false);
  assert(performance.now() - began < 10_000);
  assertEquals(turn.take(), []);
  const waiting = turn.arrives(60_000);
  gate.resolve();
  assertEquals(await waiting, true);
  assertEquals(turn.take()[0], text(1));
});

Deno.test("turn: closing while an event is pending stops the model at once", async () => {
  let stopped = false;
  const { turn, seen } = begun(async function* (signal) {
    yield text(1);
    await aborted(signal);
    stopped = true;
  });
  await settled();
  turn.take();
  const waiting = turn.arrives();
  turn.close();
  assertEquals(await waiting, true);
  assert(turn.over);
  await settled();
  assert(stopped);
  turn.close();
  assertEquals(seen, { returned: 1, reported: [] });
});

Deno.test("turn: closing drops what waits and what comes too late", async () => {
  const { turn, seen } = begun(async function* (signal) {
    yield text(1);
    await aborted(signal);
    yield text(2);
  });
  await settled();
  turn.close();
  await settled();
  assertEquals([turn.over, turn.take()], [true, []]);
  assertEquals(seen, { returned: 1, reported: [] });
});

Deno.test("turn: what the model throws comes after what it said", async () => {
  const { turn, seen } = begun(async function* () {
    yield text(1);
    throw new TypeError("broken");
  });
  await settled();
  assertEquals(await turn.arrives(), true);
  assertEquals(turn.take(), [text(1)]);
  await assertRejects(() => turn.arrives(), TypeError, "broken");
  turn.close();
  assert(turn.over);
  assertEquals(seen, { returned: 0, reported: [] });
});

Deno.test("turn: an answer that stops without an end has failed", async () => {
  const { turn } = begun(async function* () {});
  await assertRejects(() => turn.arrives(), Error, "without an end event");
});

Deno.test("turn: a failure after the end is reported, and the answer is whole", async () => {
  const broken = new TypeError("broken");
  const { turn, seen } = begun(async function* () {
    yield end();
    throw broken;
  });
  await settled();
  assertEquals(await turn.arrives(), true);
  assertEquals(turn.take(), [end()]);
  assert(turn.over);
  assertEquals(seen, { returned: 0, reported: [broken] });
});
