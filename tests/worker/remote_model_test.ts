/** Both ends of the wire in one thread. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ChatModel,
  RequestError,
  UnavailableError,
} from "../../lib/chat/chat_model.ts";
import { ModelServer } from "../../lib/worker/model_server.ts";
import type { Answer } from "../../lib/worker/protocol.ts";
import { RemoteModel } from "../../lib/worker/remote_model.ts";
import { NotHeldError } from "../../lib/chat/thread.ts";
import { transferredBy } from "../../lib/worker/protocol.ts";
import { KEY, streamed, tell, ToldModel } from "./told_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A model behind a wire that copies, and what went over it. */
function behindWire(model: ChatModel = new ToldModel()) {
  const asked: string[] = [];
  const messages: Answer[][] = [];
  const server = new ModelServer(model, (answers) => {
    messages.push(answers);
    const copy = structuredClone(answers);
    queueMicrotask(() => remote.receive(copy));
  });
  const remote = new RemoteModel(model, (question) => {
    asked.push(question.type);
    server.receive(structuredClone(question));
  });
  return { remote, server, asked, messages };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("events come equal and in order, each answer its own", async () => {
  const { remote } = behindWire();
  const answers = await Promise.all(
    [3, 0, 8].map((count) =>
      Array.fromAsync(remote.generate(tell(`stream ${count}`)))
    ),
  );
  assertEquals(answers, [streamed(3), streamed(0), streamed(8)]);
});

Deno.test("nothing is asked before the first next, and nothing after an early return", async () => {
  const { remote, asked } = behindWire();
  const unread = remote.generate(tell("stream 1"));
  const returned = remote.generate(tell("stream 1"));
  await returned.return();
  assertEquals(await returned.next(), { done: true, value: undefined });
  await turn();
  assertEquals(asked, []);
  assertEquals(await Array.fromAsync(unread), streamed(1));
});

Deno.test("return cancels while next is pending, and that next is done", async () => {
  const { remote } = behindWire();
  const events = remote.generate(tell("wait"));
  await events.next();
  const pending = events.next();
  await turn();
  assertEquals((await remote.state()).running, 1);
  await events.return();
  assertEquals(await pending, { done: true, value: undefined });
  await turn();
  const { running, totals } = await remote.state();
  assertEquals([running, totals.evicted], [0, 1]);
});

Deno.test("a complete answer is not cancelled", async () => {
  const { remote, asked } = behindWire();
  const events = remote.generate(tell("stream 2"));
  for await (const _ of events);
  await events.return();
  assertEquals(asked, ["generate"]);
});

Deno.test("errors keep their class and fields, after the events before them", async () => {
  const { remote } = behindWire();
  const fails = async (content: string) => {
    const events = remote.generate(tell(content));
    assertEquals((await events.next()).value, streamed(0)[0]);
    return await assertRejects(() => events.next());
  };
  const request = await fails("request");
  assert(request instanceof RequestError);
  assertEquals([request.message, request.param], [
    "There is no token 9",
    "logit_bias",
  ]);
  const unavailable = await fails("unavailable");
  assert(unavailable instanceof UnavailableError);
  assertEquals(
    [unavailable.message, unavailable.code, unavailable.retryAfter],
    ["The queue is full", "queue_full", 7],
  );
  const failing = remote.generate(tell("fail"));
  await failing.next();
  await turn(); // both have come
  assertEquals((await failing.next()).value, streamed(1)[1]);
  const other = await assertRejects(() => failing.next()) as Error;
  assertEquals([other.name, other.message], ["RangeError", "A bug"]);
  assert(other.stack!.includes("told_model.ts"), other.stack);
});

Deno.test("an error of state reaches who asked", async () => {
  class Stateless extends ToldModel {
    override state() {
      return Promise.reject(new RangeError("no state"));
    }
  }
  const { remote } = behindWire(new Stateless());
  const error = await assertRejects(() => remote.state(), Error, "no state");
  assertEquals(error.name, "RangeError");
});

Deno.test("what many answers give in one turn of the event loop is one message", async () => {
  const gates: (() => void)[] = [];
  class Gated extends ToldModel {
    override async *generate() {
      for (const event of streamed(2)) {
        await new Promise<void>((resolve) => gates.push(resolve));
        yield event;
      }
    }
  }
  const { remote, messages } = behindWire(new Gated());
  const answers = Promise.all(
    Array.from({ length: 8 }, () => Array.fromAsync(remote.generate(tell("")))),
  );
  const sizes: number[] = [];
  for (let step = 0; step < 4; step++) {
    await turn();
    for (const open of gates.splice(0)) open();
    await turn();
    sizes.push(messages.length);
  }
  assertEquals(sizes.slice(0, 3), [1, 2, 3]);
  assertEquals(await answers, Array(8).fill(streamed(2)));
});

Deno.test("what is ready is sent before the event loop's next turn", async () => {
  class Eager extends ToldModel {
    override async *generate() {
      yield* streamed(1);
    }
  }
  const { remote } = behindWire(new Eager());
  const events = remote.generate(tell(""));
  const first = events.next();
  let turned = false;
  const timer = setTimeout(() => turned = true);
  await first;
  assertEquals(turned, false);
  clearTimeout(timer);
  await events.return();
});

Deno.test("a closed model fails all that waits and all that is asked later", async () => {
  const { remote, server, asked } = behindWire();
  const gone = () => new UnavailableError("model_restarted", "gone", 2);
  const fails = (promise: () => Promise<unknown>) =>
    assertRejects(promise, UnavailableError, "gone");
  const first = remote.generate(tell("wait"));
  const second = remote.generate(tell("wait"));
  await first.next();
  const waiting = [first.next(), second.next().then(() => second.next())];
  await turn();
  const state = remote.state();
  remote.close(gone);
  for (const promise of [...waiting, state]) await fails(() => promise);
  await fails(() => remote.generate(tell("stream 1")).next());
  await fails(() => remote.state());
  assertEquals(asked, ["generate", "generate", "state"]);
  await server.cancelAll();
});

Deno.test("a trap of the engine is not an answer but the end of its thread", async () => {
  const server = new ModelServer(new ToldModel(), () => {});
  await assertRejects(
    () => server.receive({ type: "generate", id: 0, request: tell("trap") }),
    WebAssembly.RuntimeError,
  );
});

Deno.test("prompts are encoded and tokens decoded on the other side, errors included", async () => {
  const { remote, asked } = behindWire();
  const prompt = { text: "abc" };
  assertEquals(
    await remote.encode({ messages: [], prompt, addGenerationPrompt: true }),
    { tokens: [3], text: "abc" },
  );
  assertEquals(await remote.decode([1, 2]), "1,2");
  const error = await assertRejects(() => remote.decode([]), RequestError);
  assertEquals((error as RequestError).param, "tokens");
  assertEquals(asked, ["encode", "decode", "decode"]);
  remote.close(() => new Error("gone"));
  await assertRejects(() => remote.decode([1]), Error, "gone");
});

Deno.test("tokens are counted and threads copied over the wire", async () => {
  const { remote } = behindWire();
  const count = (...messages: string[]) =>
    remote.count({
      messages: messages.map((content) => ({ role: "user", content })),
      continued: false,
    });
  assertEquals(await Promise.all([count("abc"), count("ab")]), [3, 2]);
  await assertRejects(() => count(), RequestError, "None");
  assertEquals(await remote.copy({ owner: "ada", state: "3" }), {
    key: KEY,
    bytes: Uint8Array.of(7, 7, 7),
  });
  assertEquals(await remote.copy({ owner: "", state: "3" }), null);
});

Deno.test("a thread that is not held is told with what snapshots would help", async () => {
  const { remote } = behindWire();
  const error = await assertRejects(
    () => Array.fromAsync(remote.generate(tell("unheld"))),
    NotHeldError,
  );
  assertEquals((error as NotHeldError).key, KEY);
});

Deno.test("a cache's bytes are handed over, both ways, and nothing else is", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const log = {
    tokens: Uint32Array.of(1),
    starts: [],
    runs: [],
    snapshot: bytes,
  };
  const setup = { model: "told", policy: {} };
  const request = {
    ...tell("stream 1"),
    thread: { from: { state: "a", setup, log }, to: "b" },
  };
  assertEquals(transferredBy({ type: "generate", id: 1, request }), [
    bytes.buffer,
  ]);
  const value = { key: KEY, bytes };
  const copy = { type: "value", of: "copy", id: 1, value } as const;
  const none = { type: "value", of: "copy", id: 2, value: null } as const;
  assertEquals(transferredBy({ type: "answers", answers: [copy, none] }), [
    bytes.buffer,
  ]);
  assertEquals(transferredBy({ type: "stop" }), []);
});
