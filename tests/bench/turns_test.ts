/** Conversations that go on: their clients against a served app, and the arithmetic of what they show. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Check } from "../../bench/soak/checks.ts";
import {
  type ConversationResult,
  holdConversation,
} from "../../bench/soak/conversation.ts";
import { checkConversation } from "../../bench/soak/conversation_checks.ts";
import { parseSoakOptions } from "../../bench/soak/options.ts";
import { renderConversation } from "../../bench/soak/report.ts";
import { ChatClient } from "../../bench/turns/chat_client.ts";
import type { TurnClient, TurnSample } from "../../bench/turns/client.ts";
import { measureTurns } from "../../bench/turns/measure.ts";
import { parseTurnsOptions } from "../../bench/turns/options.ts";
import { PeerClient } from "../../bench/turns/peer_client.ts";
import { questions } from "../../bench/turns/questions.ts";
import { renderTurns } from "../../bench/turns/report.ts";
import { ResponsesClient } from "../../bench/turns/responses_client.ts";
import { summaryOf } from "../../bench/turns/summary.ts";
import { hold, storedApp } from "../routes/stored_app.ts";

function sample(changed: Partial<TurnSample> = {}): TurnSample {
  return {
    firstMs: 10,
    ms: 20,
    answer: "",
    cacheBytes: 100,
    computed: 5,
    refusal: null,
    forgotten: 0,
    ...changed,
  };
}

Deno.test("a turn sends and computes only what is new, whoever holds the conversation", async () => {
  await using app = await storedApp();
  const server = { url: app.base, maxTokens: 8 };
  await using held = await ResponsesClient.open(server);
  await using resent = new ChatClient(server);
  for (const client of [held, resent]) {
    const turns: TurnSample[] = [];
    for (const text of ["one", "two", "six"]) {
      turns.push(await client.say(text));
    }
    assertEquals(turns.map(({ answer }) => answer), Array(3).fill("hello"));
    assertEquals(turns[1]!.computed, turns[2]!.computed);
    for (const { firstMs, ms, cacheBytes, refusal } of turns) {
      assert(0 < firstMs && firstMs <= ms);
      assertEquals([cacheBytes, refusal], [1000, null]);
    }
  }
  const { conversation } = held;
  const items = await fetch(
    `${app.base}/v1/conversations/${conversation}/items`,
  );
  assertEquals((await items.json()).data.length, 6);
});

Deno.test("the first text is awaited, not the first event", async () => {
  await using app = await storedApp();
  const server = { url: app.base, maxTokens: 8 };
  await using held = await ResponsesClient.open(server);
  await using resent = new ChatClient(server);
  for (const client of [held, resent]) {
    const go = hold(app.decoder);
    setTimeout(go, 40);
    assert((await client.say("one")).firstMs >= 35);
  }
});

Deno.test("a turn without an answer is an error that says what came", async () => {
  await using app = await storedApp();
  const server = { url: app.base, maxTokens: 8 };
  await using held = await ResponsesClient.open(server);
  app.decoder.failAfter = 0;
  await assertRejects(() => held.say("one"), Error, "server_error");
  await app.store.conversations.delete("", held.conversation);
  await assertRejects(() => held.say("two"), Error, "404");
});

Deno.test("a peer is told a line at a time, and that it has ended is an error", async () => {
  const program = `
    console.log(JSON.stringify({ peer: "fake" }));
    const decoder = new TextDecoder();
    for await (const bytes of Deno.stdin.readable) {
      const { text } = JSON.parse(decoder.decode(bytes));
      if (text === "end") Deno.exit(0);
      const line = JSON.stringify({ firstMs: 1, ms: 2, answer: text + "é" }) + "\\n";
      console.log(line.slice(0, 5) + line.slice(5, -1));
    }`;
  await using peer = await PeerClient.open([Deno.execPath(), "eval", program]);
  assertEquals(peer.name, "fake");
  assertEquals((await peer.say("one")).answer, "oneé");
  assertEquals((await peer.say("two")).answer, "twoé");
  await assertRejects(() => peer.say("end"), Error, "fake has ended");
});

Deno.test("questions are the same each time, and each is another", () => {
  const some = questions().take(50).toArray();
  assertEquals(questions().take(50).toArray(), some);
  assertEquals(new Set(some).size, 50);
  assert(some.every((text) => text.length < 100));
});

Deno.test("a conversation's stretches leave out its first two turns", () => {
  const turns = Array.from({ length: 40 }, (_, i) =>
    sample({
      firstMs: i < 2 ? 1000 : i + 1,
      ms: 2 * i,
      cacheBytes: i,
      ...(i === 20 ? { refusal: "too long", forgotten: 4 } : {}),
      ...(i === 30 ? { refusal: "again", forgotten: 2 } : {}),
    }));
  const { first, middle, last, ratio, refused, forgotten } = summaryOf(turns);
  assertEquals([first.from, first.to, middle.from, last.from, last.to], [
    3,
    12,
    16,
    31,
    40,
  ]);
  assertEquals([first.firstMs, middle.firstMs, last.firstMs], [
    7.5,
    20.5,
    35.5,
  ]);
  assertEquals([last.slowestFirstMs, last.ms, last.cacheBytes], [40, 69, 39]);
  assertEquals(ratio, 35.5 / 7.5);
  assertEquals(refused, { turn: 21, reason: "too long" });
  assertEquals(forgotten, 6);
  assertThrows(() => summaryOf(turns.slice(0, 21)), RangeError, "22 or more");
  assertEquals(summaryOf(turns.slice(0, 22)).refused?.turn, 21);
  const silent = Array(22).fill(sample({ computed: null, cacheBytes: null }));
  const { last: unknown } = summaryOf(silent);
  assertEquals([unknown.computed, unknown.cacheBytes], [null, null]);
});

Deno.test("clients take turns and are told the same", async () => {
  const heard: string[] = [];
  const client = (name: string, firstMs: number): TurnClient => ({
    name,
    say(text) {
      heard.push(`${name} ${text}`);
      const refusal = heard.length === 2 ? "no room" : null;
      return Promise.resolve(
        sample({ firstMs, refusal, forgotten: refusal ? 2 : 0 }),
      );
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
  const results = await measureTurns(
    [client("a", 10), client("b", 30)],
    { turns: 22, pause: 0 },
  );
  const asked = questions().take(22).toArray();
  assertEquals(heard, asked.flatMap((text) => [`a ${text}`, `b ${text}`]));
  assertEquals(results.map(({ turns }) => turns.length), [22, 22]);
  const text = renderTurns(results);
  for (
    const part of [
      "a   3–12",
      "b   3–12",
      "13–22",
      "b: turn 1 was refused: no room",
      "b: its client had to forget 2 messages",
    ]
  ) assert(text.includes(part), `${part} in ${text}`);
});

Deno.test("options of turns, and of a soak of one conversation, are read", () => {
  assertEquals(parseTurnsOptions([]), {
    help: false,
    peers: false,
    turns: 200,
    window: 508,
    answer: 16,
  });
  const line = "--turns 30 --window 60 --answer 4 --peers --json a";
  assertEquals(parseTurnsOptions(line.split(" ")), {
    help: false,
    peers: true,
    turns: 30,
    window: 60,
    answer: 4,
    json: "a",
  });
  assertThrows(() => parseTurnsOptions(["--turns", "21"]), RangeError, "22");
  assertEquals(parseSoakOptions([]).turns, undefined);
  assertEquals(parseSoakOptions(["--turns", "10000"]).turns, 10_000);
  assertThrows(() => parseSoakOptions(["--turns", "9"]), RangeError, "10");
});

const MIB = 2 ** 20;

/** A conversation in which all is as it should be, 10 turns a sample. */
function good(): ConversationResult {
  return {
    turns: Array(200).fill(
      { firstMs: 10, ms: 20, cacheBytes: 1000, computed: 25 },
    ),
    samples: Array.from({ length: 20 }, (_, i) => ({
      turns: 10 * (i + 1),
      databaseBytes: 10 * (i + 1) * 500,
      seconds: i,
      rss: 100 * MIB,
      healthMs: 1,
      running: 0,
      waiting: 0,
      cacheBytes: { active: 0, idle: 10, free: 90 },
    })),
    items: 400,
    wrongItem: null,
  };
}

Deno.test("a conversation's checks see each thing that must not be", () => {
  const failed = (changed: Partial<ConversationResult>) =>
    checkConversation({ ...good(), ...changed })
      .flatMap(({ what, ok }) => ok ? [] : what);
  const { turns, samples } = good();
  assertEquals(failed({}), []);
  const lost = ["no turn is lost or doubled"];
  assertEquals(failed({ items: 398 }), lost);
  assertEquals(failed({ wrongItem: 7 }), lost);
  const later = (changed: Partial<typeof turns[0]>) => ({
    turns: turns.map((turn, i) => i < 120 ? turn : { ...turn, ...changed }),
  });
  const [bytes] = failed(later({ cacheBytes: 1001 }));
  assert(bytes?.startsWith("the conversation's cache bytes"));
  assertEquals(failed(later({ firstMs: 15 })), []);
  const [slower] = failed(later({ firstMs: 16 }));
  assert(slower?.startsWith("time to the first text"));
  const [longer] = failed(later({ computed: 250 }));
  assert(longer?.startsWith("tokens of the prompt"));
  const grown = samples.map((sample, i) =>
    i < 12 ? sample : { ...sample, databaseBytes: 1e6 }
  );
  const [database] = failed({ samples: grown });
  assert(database?.startsWith("the database"));
  const leaking = samples.map((sample, i) => ({
    ...sample,
    rss: (100 + 2 * i) * MIB,
  }));
  const [memory] = failed({ samples: leaking });
  assert(memory?.startsWith("RSS"));
  const slots = samples.map((sample, i) =>
    i < 19 ? sample : { ...sample, cacheBytes: { active: 1, idle: 1, free: 1 } }
  );
  const [table] = failed({ samples: slots });
  assert(table?.startsWith("the slots'"));
});

Deno.test("a conversation is held and read back", async () => {
  const data = await Deno.makeTempDir({ prefix: "everstream_soak_" });
  try {
    await using app = await storedApp({ data });
    const server = { url: app.base, pid: Deno.pid };
    const result = await holdConversation(server, { turns: 60, data });
    const wrong = (checks: Check[]) =>
      checks.filter(({ ok, what }) => !ok && !/RSS|time|database/.test(what));
    const checks = checkConversation(result);
    assertEquals(wrong(checks), []);
    assertEquals([result.items, result.turns.length], [120, 60]);
    assertEquals(result.samples.at(-1)!.turns, 60);
    assert(result.samples.every(({ databaseBytes }) => databaseBytes > 10_000));
    assert(renderConversation(result, checks).includes("60 turns in"));
  } finally {
    await Deno.remove(data, { recursive: true });
  }
});
